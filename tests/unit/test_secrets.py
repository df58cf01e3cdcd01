"""No secret is printed: not in a log, not in a command line, however it is written there."""

import json
import shlex
from urllib.parse import quote

import pytest

from lmcache_kserve.secrets import redact, redact_command

SECRET = "o'Brien \"\\ é/2"  # noqa: S105 - of no server; with what every notation has to quote


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        shlex.quote(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
    ],
    ids=["raw", "in a URL", "in a path", "shell", "JSON", "JSON in UTF-8", "Python"],
)
def test_a_secret_is_replaced_however_it_is_written(written: str) -> None:
    clean = redact(f"before {written} after", [SECRET])
    assert clean.strip("'\" ") == clean
    assert "Brien" not in clean
    assert clean.replace("'", "").replace('"', "") == "before *** after"


def test_an_empty_secret_replaces_nothing_and_a_longer_one_goes_first() -> None:
    assert redact("user:p%40ss%2Fword@host, p@ss and nothing", ["p@ss", "p@ss/word", ""]) == (
        "user:***@host, *** and nothing"
    )


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        (["--set", "remoteBackend.redis.auth.password=x"], ["--set", "remoteBackend.redis.auth.password=***"]),
        (["--set=huggingFace.token=x"], ["--set=huggingFace.token=***"]),
        (["--set-string", "a=1,huggingFace.token=x,b=2"], ["--set-string", "a=1,huggingFace.token=***,b=2"]),
        (["--set", r"huggingFace.token=x\,y=z,b=2"], ["--set", "huggingFace.token=***,b=2"]),
        (["--set", "a.password={x,y},b=2"], ["--set", "a.password=***,b=2"]),
        (["--set", "a.password=x}y,b=2"], ["--set", "a.password=***,b=2"]),
        (["--set", "a.config.requirepass=x"], ["--set", "a.config.requirepass=***"]),
        (["--set", "model.extraArgs={--api-key=x,--port=1}"], ["--set", "model.extraArgs={--api-key=***,--port=1}"]),
        (["--set", "extraObjects[0].stringData.any=x"], ["--set", "extraObjects[0].stringData.any=***"]),
        (["--set-literal", "huggingFace.token=x,y"], ["--set-literal", "huggingFace.token=***"]),
        (["--set-json", 'a={"password": "x\\"y", "n": 1}'], ["--set-json", 'a={"password": "***", "n": 1}']),
        (["--set-json", 'a.password="x"'], ["--set-json", 'a.password="***"']),
        (["--secret", "redis/any=x=y"], ["--secret", "redis/any=***"]),
        (["--secret=redis/any=x"], ["--secret=redis/any=***"]),
    ],
    ids=" ".join,
)
def test_what_a_value_of_the_chart_keeps_secret_is_masked_by_its_name(words: list[str], masked: list[str]) -> None:
    assert redact_command(["demo", *words, "--keep"]) == ("demo", *masked, "--keep")


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "remoteBackend.redis.auth.existingSecret=name"],
        ["--set", "remoteBackend.redis.auth.existingSecretKey=password"],
        ["--set", "lmcache.keySalt=v2"],
        ["--set", "model.maxTokens=4"],
        ["--secret", "redis/password"],
        ["--out", "password=x"],
    ],
    ids=" ".join,
)
def test_what_is_no_secret_stays(words: list[str]) -> None:
    assert redact_command(words) == tuple(words)


def test_a_known_secret_is_masked_wherever_it_stands() -> None:
    assert redact_command(["--set", f"predictor.env[0].value={SECRET}"], [SECRET]) == (
        "--set",
        "predictor.env[0].value=***",
    )


def test_a_known_secret_is_found_whole_even_where_its_place_gives_away_a_part() -> None:
    assert redact_command(["--set", "a.password=x,y"], ["x,y"]) == ("--set", "a.password=***")
