from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lmcache_kserve.lmcache.logs import (
    FORMATS,
    Event,
    Load,
    Lookup,
    RequestLog,
    Tiers,
    plain,
    request_log,
    started_versions,
)
from lmcache_kserve.target import LogLine

ID = "lmk-0123456789abcdef-000042"
TRACE = f"cmpl-{ID}-0-9f8e7d6c"

# Lines as each version prints them, behind the prefix of vLLM's engine process.
_RETRIEVED = "Retrieved 3072 out of {} required tokens (from 3217 total tokens). size: 0.0352 gb, cost 46.8121 ms"
_STORED = "Stored 145 out of total 145 tokens. size: 0.0016 GB, cost 4.4 ms, throughput: 0.4 GB/s"
_ENGINE = "(EngineCore pid=3883) \x1b[32;20m[2026-11-24 22:58:56,112] LMCache INFO:\x1b[0m"
_COMPUTED = "Inference Engine computed tokens"
LINES = {
    "0.3.9": [
        f"Reqid: {TRACE}, Total tokens 3217, LMCache hit tokens: 3072, need to load: 3072",
        _RETRIEVED.format(3072),
        f"Storing KV cache for 145 out of 3217 tokens (skip_leading_tokens=3072) for request {TRACE}",
    ],
    "0.4.2": [
        f"Reqid: {TRACE}, Total tokens 3217, {_COMPUTED}: 16, LMCache hit tokens: 3072, need to load: 3056",
        f"[req_id={TRACE}] {_RETRIEVED.format(3056)}",
        f"[req_id={TRACE}] {_STORED}",
    ],
    "0.5.6": [
        f"{_ENGINE} Reqid: {TRACE}, Total tokens 3217, {_COMPUTED}: 0, LMCache hit tokens: 3072, need to load: 3072",
        f"(Worker pid=3891) [req_id={TRACE}] {_RETRIEVED.format(3072)}, throughput: 0.7508 GB/s;",
        f"(Worker pid=3891) [req_id={TRACE}] {_STORED}; offload_time: 2.1 ms, put_time: 0.4 ms",
    ],
}

_SERVER = "\x1b[32;20m[2026-11-25 03:15:59,162] LMCache INFO:\x1b[0m"
_DEBUG = "\x1b[1m[2026-11-25 03:15:59,163] LMCache DEBUG:\x1b[0m"
_MODULE = "lmcache.v1.multiprocess.modules.engine_driven_transfer"
_TIERS = "Prefetch request completed (L1+L2): 12/12 retained keys (0 L1, 12 L2) in 55.3 ms"
# In the order in which the server of mode multiprocess prints them: a hit of 12 chunks, one of the rest is stored.
MULTIPROCESS = [
    f"{_SERVER} {_TIERS} (external_request_id={TRACE}, prefetch_request_id=9) \x1b[3m(storage_manager.py:651)\x1b[0m",
    f"{_DEBUG} MP lookup/prefetch end: session={TRACE} found_count=12 \x1b[3m(mp_server.py:73:lmcache)\x1b[0m",
    f"{_SERVER} Retrieved 3072 tokens in 0.006 seconds \x1b[3m(engine_driven_transfer.py:514:{_MODULE})\x1b[0m",
    f"{_SERVER} Stored 256 tokens in 0.146 seconds \x1b[3m(engine_driven_transfer.py:447:{_MODULE})\x1b[0m",
]


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(datetime(2026, 11, 24, tzinfo=UTC), text) for text in texts]


@pytest.mark.parametrize("version", LINES)
def test_what_a_version_logs_about_a_request_is_read(version: str) -> None:
    log = request_log(lines(*LINES[version]), ID, chunk_size=256)

    assert log.lookup is not None
    assert (log.lookup.total_tokens, log.lookup.hit_tokens) == (3217, 3072)
    assert log.retrieved_tokens == 3072
    assert log.stored_tokens == 145
    assert log.load == Load(seconds=0.0468121, size_bytes=int(0.0352 * 2**30))


def test_each_format_of_the_table_matches_exactly_one_line_of_a_version() -> None:
    every = [text for texts in (*LINES.values(), MULTIPROCESS) for text in texts]

    for known in FORMATS:
        assert any(known.pattern.search(text) for text in every), known
    for text in every:
        assert sum(bool(known.pattern.search(text)) for known in FORMATS) == 1, text


@pytest.mark.parametrize("version", LINES)
def test_lines_of_another_request_are_not_taken_for_ours(version: str) -> None:
    other = ID.replace("42", "43")

    assert request_log(lines(*LINES[version]), other, chunk_size=256) == RequestLog()


def test_an_old_retrieve_line_without_an_id_belongs_to_the_lookup_before_it() -> None:
    foreign = LINES["0.3.9"][0].replace(ID, "someone-else")
    log = request_log(lines(LINES["0.3.9"][0], foreign, LINES["0.3.9"][1]), ID, chunk_size=256)

    assert log.retrieved_tokens is None


def test_the_slowest_of_several_workers_is_how_long_a_load_took() -> None:
    line = "[req_id={}] Retrieved 256 out of 256 required tokens (from 300 total tokens). size: {} gb, cost {} ms"
    workers = lines(line.format(TRACE, "0.0020", "9.0"), line.format(TRACE, "0.0020", "12.0"), "[req_id=x] nothing")
    assert request_log(workers, ID, chunk_size=256).load == Load(seconds=0.012, size_bytes=int(0.002 * 2**30))


def test_a_line_without_times_says_nothing_about_the_load() -> None:
    line = f"[req_id={TRACE}] Retrieved 256 out of 256 required tokens"
    assert request_log(lines(line), ID, chunk_size=256).load is None


def test_stores_of_a_chunked_prefill_add_up() -> None:
    store = "[req_id={}] Stored {} out of total {} tokens. size: 0.1 GB"
    log = request_log(lines(store.format(TRACE, 2048, 2048), store.format(TRACE, 1024, 1169)), ID, chunk_size=256)

    assert log.stored_tokens == 3072


def test_an_asynchronous_lookup_counts_once_it_has_an_answer() -> None:
    ask = f"Reqid: {TRACE}, Total tokens 3217, Inference Engine computed tokens: 0, LMCache hit tokens: "
    pending, answered = f"{ask}None.", f"{ask}512, need to load: 512"

    assert request_log(lines(pending), ID, chunk_size=256).lookup == Lookup(3217, None, 0)
    assert request_log(lines(pending, answered, pending), ID, chunk_size=256).hit_tokens == 512


def test_a_hit_below_the_least_load_is_a_lookup_with_its_load() -> None:
    text = (
        f"Reqid: {TRACE}, Total tokens 3217, Inference Engine computed tokens: 3000, LMCache hit tokens: 3072, "
        "but need to load: 72 < min_retrieve 256, skip retrieve but record for save skip"
    )

    assert request_log(lines(text), ID, chunk_size=256).lookup == Lookup(3217, 3072, 3000, 72)


def test_what_a_server_of_mode_multiprocess_logs_about_a_request_is_read() -> None:
    log = request_log(lines(*MULTIPROCESS), ID, chunk_size=256)

    tiers = Tiers(l1_objects=0, l2_objects=12)
    assert log.load is not None
    assert log.load.seconds == pytest.approx(0.0613)
    assert replace(log, load=None) == RequestLog(Lookup(None, 3072), 256, 3072, tiers)


def test_a_servers_lookup_that_found_nothing_is_a_lookup() -> None:
    found = f"MP lookup/prefetch end: session={TRACE} found_count=0 (mp_server.py:73)"
    log = request_log(lines(found, MULTIPROCESS[3]), ID, chunk_size=256)

    assert log == RequestLog(Lookup(None, 0), 256)


def test_what_a_server_loads_belongs_to_the_lookup_before_it() -> None:
    foreign = [text.replace(ID, "someone-else") for text in MULTIPROCESS]

    assert request_log(lines(*MULTIPROCESS[:2], *foreign), ID, chunk_size=256).retrieved_tokens is None
    assert request_log(lines(*foreign, *MULTIPROCESS[:2]), ID, chunk_size=256).retrieved_tokens is None
    assert request_log(lines(*foreign), ID, chunk_size=256) == RequestLog()


def test_every_event_has_a_format_for_the_tested_version() -> None:
    assert {known.event for known in FORMATS if known.versions.endswith("0.5.6")} == set(Event)


def test_colours_are_removed() -> None:
    assert plain("\x1b[32;20mLMCache INFO:\x1b[0m text") == "LMCache INFO: text"


def test_the_versions_are_read_from_the_line_of_the_start() -> None:
    text = (
        "LMCache INFO: LMCache initialized for role KVConnectorRole.WORKER with version 0.5.6, vllm version 0.32.0, x"
    )
    assert started_versions(lines("something else", text)) == {"lmcache": "0.5.6", "vllm": "0.32.0"}
    assert started_versions([]) == {}
