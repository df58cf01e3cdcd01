"""Masks secrets in everything that is printed or written: log lines, arguments, the command line of a report."""

import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

REDACTED = "***"

_NAME = r"(?:(?:password|passwd|requirepass|masterauth|token|api[-_]?key)(?:\[\d+\])?|stringData\.[^=,]+)"
"""The end of the name of a value that holds a secret. `existingSecret` names a Secret and holds no secret itself."""

_ASSIGNED = re.compile(rf"({_NAME})=(?:\{{[^}}]*\}}|(?:\\.|[^\\,}}]|\}}(?!,|\Z))*)", re.IGNORECASE)
"""An assignment in Helm's notation: a backslash takes a comma into the value, braces hold a list.

A closing brace before a comma or the end closes the list that the assignment stands in.
"""
_LITERAL = re.compile(rf"({_NAME})=.*", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(rf'("{_NAME}"\s*:\s*|{_NAME}=)"(?:\\.|[^\\"])*"', re.IGNORECASE)
_GIVEN = re.compile(r"^([^=]*)=.*", re.DOTALL)

_PLACES = {
    "--secret": (_GIVEN, rf"\1={REDACTED}"),
    "--set": (_ASSIGNED, rf"\1={REDACTED}"),
    "--set-string": (_ASSIGNED, rf"\1={REDACTED}"),
    "--set-literal": (_LITERAL, rf"\1={REDACTED}"),
    "--set-json": (_MEMBER, rf'\1"{REDACTED}"'),
}
"""By option: where in its value a secret stands, and what replaces it."""


def redact(text: str, secrets: Sequence[str]) -> str:
    """Replace each secret by `***`: raw, percent-encoded, and as a shell, JSON or Python quotes it."""
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    return text


def redact_command(words: Sequence[str], secrets: Sequence[str] = ()) -> tuple[str, ...]:
    """Replace the secrets in a command's words by `***`; quote the words afterwards.

    Args:
        words: the command's words, the program first.
        secrets: values to replace wherever they stand. The values of `--secret`, and of Helm's `--set` options where
            their name is the name of a secret, are replaced without being known.
    """
    # Known values first: a secret that its place masks in part could no longer be found whole.
    return tuple(_masked_by_name([redact(word, secrets) for word in words]))


def _masked_by_name(words: Sequence[str]) -> Iterator[str]:
    place = None
    for word in words:
        option, equals, value = word.partition("=")
        if place:
            yield _masked(place, word)
            place = None
        elif equals and option in _PLACES:
            yield f"{option}={_masked(option, value)}"
        else:
            yield word
            place = word if word in _PLACES else None


def _masked(option: str, value: str) -> str:
    pattern, replacement = _PLACES[option]
    return pattern.sub(replacement, value)


def _forms(secret: str) -> Iterator[str]:
    """How a secret may be written, without quotation marks round it."""
    yield secret
    yield from (quote(secret, safe=safe) for safe in ("", "/"))
    for quoted in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)):
        yield quoted[1:-1]
    yield secret.replace("'", "'\"'\"'")
