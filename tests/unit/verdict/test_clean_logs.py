from dataclasses import replace

import pytest
from judging import failed
from made_evidence import after, evidence, log

from lmcache_kserve.evidence import ReplicaLog
from lmcache_kserve.target import LogLine


@pytest.mark.parametrize(
    "text",
    [
        "LMCache WARNING: Centralized cache sharing detected but PYTHONHASHSEED not set.",
        "LMCache WARNING: Using builtin hash without PYTHONHASHSEED set.",
        "LMCache WARNING: Unknown configuration key: chunk_sise (source: file)",
        "ValueError: No adapter found for URL: rediss+x://host",
        "LMCache ERROR: Failed to initialize LMCacheManager components: boom",
        "RuntimeError: No supported cpu connector found.",
    ],
)
@pytest.mark.parametrize("at", [1.0, 220.0], ids=["in peace", "in a fault window"])
def test_a_line_that_is_never_allowed_fails_at_any_time(text: str, at: float) -> None:
    seen = replace(evidence(), logs=(log("predictor-0", text, at=at),))

    assert text in failed(seen)["clean-logs"]


@pytest.mark.parametrize(
    "text",
    [
        "redis.exceptions.ConnectionError: Error 111 connecting to 10.0.0.7:6379. Connection refused.",
        "BrokenPipeError: [Errno 32] Broken pipe",
        "LMCache WARNING: Failed to initialize/re-establish remote connection: timed out",
        "LMCache WARNING: Remote connection failed in contains: closed",
        "LMCache WARNING: batched put error: Timeout reading from 10.0.0.7:6379",
        "Traceback (most recent call last):",
    ],
)
def test_an_error_is_excused_only_while_a_fault_is_provoked(text: str) -> None:
    inside = replace(evidence(), logs=(log("predictor-0", text, at=305),))
    outside = replace(evidence(), logs=(log("predictor-0", text, at=280),))

    assert failed(inside) == {}
    assert set(failed(outside)) == {"clean-logs"}


def test_errors_are_excused_to_the_end_where_the_client_never_reconnects() -> None:
    good = evidence()
    forever = replace(good.faults[1], end=None)
    seen = replace(good, faults=(forever,), logs=(log("predictor-0", "Broken pipe", at=350),))

    assert failed(seen) == {}


def test_a_release_on_a_cluster_may_have_earlier_errors_but_no_wrong_settings() -> None:
    good = evidence()
    cluster = replace(good, subject=replace(good.subject, kind="cluster"))
    earlier = replace(cluster, logs=(log("predictor-0", "Connection refused", at=-3600), log("predictor-1", at=1)))
    unset = replace(cluster, logs=(log("predictor-0", "PYTHONHASHSEED is not set", at=-3600),))

    assert failed(earlier) == {}
    assert set(failed(unset)) == {"clean-logs"}
    assert set(failed(replace(good, logs=earlier.logs))) == {"clean-logs"}


def test_a_secret_fails_even_in_a_fault_window() -> None:
    line = LogLine(after(305), "url redis://:***@host")
    seen = replace(evidence(), logs=(ReplicaLog(replica="predictor-0", lines=(line,), secret_lines=(line,)),))

    assert "secret" in failed(seen)["clean-logs"]


def test_empty_logs_prove_nothing() -> None:
    assert "empty" in failed(replace(evidence(), logs=()))["clean-logs"]
