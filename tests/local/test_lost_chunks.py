"""A chunk that is found and cannot be loaded: what was computed on top of it is never cached.

Redis evicts keys one by one, and a chunk is two. Where one of them has gone, LMCache finds the chunk and cannot load
it; where the chunks after it have gone too, vLLM computes them, on nothing, before it computes everything again.
"""

import pytest
import redis
from local_release import running

from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.probe import Probe
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = pytest.mark.local

KEYS_PER_CHUNK = 2
"""Of each worker."""

CONTENT = b"kv_bytes"
"""End of the key that holds a chunk; the other one tells its shape (LMCache, `redis_connector.py`)."""

FIRST_WORKER = b"@0@"

LMCACHES_OWN = ("kv_connector=LMCacheConnectorV1", "kv_connector_module_path=null")


def redis_of(target: LocalTarget) -> "redis.Redis":
    """A client of the release's Redis."""
    assert target.backend
    settings = target.backend.settings
    assert settings.redis_url
    return redis.Redis.from_url(settings.redis_url, **settings.login)


def arrived(server: "redis.Redis", *, before: set[bytes], parts: int) -> set[bytes]:
    """The keys of so many new chunks, once all are there: LMCache stores in the background."""

    def new() -> set[bytes] | Pending:
        keys = set(server.scan_iter()) - before
        return keys if len(keys) == parts * KEYS_PER_CHUNK else Pending(f"{len(keys)} keys")

    return wait_for(new, timeout=30, describe=f"{parts} parts of chunks to be in Redis")


def stored(server: "redis.Redis", probe: Probe, prompt: str, *, parts: int) -> tuple[str, set[bytes]]:
    """The answer to a prompt, and the keys of its new chunks."""
    before = set(server.scan_iter())
    answer = probe.store(prompt, max_tokens=8)
    return answer.text, arrived(server, before=before, parts=parts)


def answers(target: LocalTarget, *, workers: int) -> tuple[str, str, str]:
    """The right answer to a prompt, the one after its first chunk was lost, and the next one, from the cache."""
    server = redis_of(target)
    with Bench(target, None, measurement=Measurement(), journal=Journal()).opened() as bench:
        bench.calibrate()
        arrived(server, before=set(), parts=2 * workers)  # of the prompt that calibrated
        writer, reader = bench.probes
        prompt = bench.short_prompt()
        words = prompt.split(" ")
        _, first = stored(server, writer, " ".join(words[: len(words) // 2]), parts=workers)
        right, others = stored(server, writer, prompt, parts=2 * workers)
        server.delete(*others, *(key for key in first if key.endswith(CONTENT) and FIRST_WORKER in key))

        lost = reader.load(prompt, max_tokens=8)
        assert lost.hit_tokens == target.chunk_size
        assert any("failed to load" in line.text for line in reader.replica.logs())
        cached = reader.load(prompt, max_tokens=8)
        assert cached.hit_tokens == 3 * target.chunk_size
        return right, lost.text, cached.text


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_what_was_computed_on_a_lost_chunk_is_not_cached(workers: int) -> None:
    with running(f"runtime.tensorParallelSize={workers}") as target:
        right, lost, cached = answers(target, workers=workers)
    assert (lost, cached) == (right, right)


@pytest.mark.long
def test_lmcaches_own_connector_caches_it() -> None:
    """When this fails, LMCache has mended it, and checked_connector.py can go."""
    with running(*(f"lmcache.kvTransferConfig.{setting}" for setting in LMCACHES_OWN)) as target:
        right, lost, cached = answers(target, workers=1)
    assert lost == right
    assert cached != right
