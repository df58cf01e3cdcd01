"""Words for the tool's shuffled documents: a tokenizer of its own, which makes one token of each word.

`lmcache bench engine` draws a document's words from 8,000 that cost one token each. Small models have fewer such words.
So the tool gets a tokenizer whose vocabulary is made here, and documents have as many words as make the wanted length
in the served model's own tokens.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import httpx2

from lmcache_kserve.errors import HarnessError

_CONSONANTS, _VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"
WORDS = tuple("".join(letters) for letters in itertools.product(_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS))
"""10,000 words of four letters: more than the tool draws."""
_TIMEOUT_S = 60.0


def write_tokenizer(folder: Path) -> None:
    """Write the tokenizer as `transformers` reads one."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {"<unk>": 0, **{f" {word}": number for number, word in enumerate(WORDS, start=1)}}
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": " [a-z]+"}, "behavior": "Isolated", "invert": False},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")


def tokens_per_word(url: str, model: str, key: str) -> float:
    """How many of its tokens a served model needs for a word, by vLLM's route `/tokenize`.

    Args:
        url: the server's address, without a path.
        model: the served model name.
        key: the server's key; empty where it asks for none.

    Raises:
        HarnessError: the server does not say.
    """
    try:
        response = httpx2.post(
            f"{url}/tokenize",
            json={"model": model, "prompt": " " + " ".join(WORDS[::10])},
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=_TIMEOUT_S,
            trust_env=False,
        )
        response.raise_for_status()
        return int(response.json()["count"]) / len(WORDS[::10])
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{url}/tokenize does not tell how many tokens a text has: {error}") from error
