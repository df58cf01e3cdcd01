"""The tokenizer that is made for the tool's shuffled documents."""

import json
from pathlib import Path

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.experiment.words import WORDS, tokens_per_word, write_tokenizer


def test_there_are_more_words_than_the_tool_draws_and_each_is_one_token(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "org" / "model")
    made = json.loads((tmp_path / "org" / "model" / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = made["model"]["vocab"]
    assert len(set(WORDS)) == len(WORDS) > 8000
    assert all(f" {word}" in vocabulary for word in WORDS)
    assert len(set(vocabulary.values())) == len(vocabulary)


def test_a_server_that_does_not_count_tokens_is_an_error() -> None:
    with pytest.raises(HarnessError, match="does not tell how many tokens"):
        tokens_per_word("http://127.0.0.1:9", "tiny", "")
