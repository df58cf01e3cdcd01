"""Prompts that nobody has sent before."""

from __future__ import annotations

import random

WORDS = tuple(
    """
    apple autumn basket beach bottle bread bridge butter button candle carpet castle cattle cherry circle coffee
    copper corner cotton country desert dinner doctor dragon engine evening family farmer feather field finger
    flower forest friend garden glass grain guitar hammer harbor hill honey horse island jacket journey kitchen
    ladder lemon letter library market meadow mirror money morning mountain museum needle ocean office orange
    orchard painter paper pencil pepper picture pillow planet pocket potato puzzle rabbit ribbon river rocket
    sailor school season shadow silver sister spider spring square stone summer sugar table teacher temple
    thread ticket tiger tomato tower travel tunnel valley velvet village violin wagon walnut water wheel window
    winter writer yellow
    """.split()  # noqa: SIM905 - words in plain text are easier to read than as many quoted strings
)
NONCE_DIGITS = 20


def fresh(words: int) -> str:
    """A prompt that nobody has sent before, random from its first token on; `words` fix its length in tokens."""
    digits = [str(random.randrange(10)) for _ in range(NONCE_DIGITS)]  # noqa: S311 - it makes test prompts differ, and nothing depends on nobody guessing them
    body = [WORDS[index % len(WORDS)] for index in range(words)]
    random.shuffle(body)
    return " ".join([*digits, *body])
