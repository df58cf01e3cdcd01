"""Two tenants of one release in mode multiprocess, with real engines: neither sees, evicts or reads the other's."""

import statistics
import subprocess
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from cache_server import name_of
from local_release import running

from lmcache_kserve.engine.find import ensure_engine
from lmcache_kserve.evidence import Pass
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.probe import Probe
from lmcache_kserve.experiment.prompts import PromptSource
from lmcache_kserve.lmcache.logs import RequestLog
from lmcache_kserve.progress import untold
from lmcache_kserve.verdict.statistics import lower_bound
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.local, pytest.mark.long]

A, B = "tenant-a-7f3c1e", "tenant-b-91d0aa"
TENANTS = (
    "lmcache.mode=multiprocess",
    "lmcache.multiprocess.l1.shared=true",
    "lmcache.tenants.enabled=true",
)
PAIRS = 50
CHANCE = 0.001
"""Of a difference that is none."""

OF_A, OF_B = 4, 20
"""Prompts of 5 chunks each. A chunk has 2 MiB, so those of B alone are more than the memory."""

MEMORY = ("lmcache.multiprocess.l1.sizeGB=0.125",)
QUOTAS = (
    *(f"lmcache.tenants.quotas[0].{setting}" for setting in (f"salt={A}", "sizeGB=0.05")),
    *(f"lmcache.tenants.quotas[1].{setting}" for setting in (f"salt={B}", "sizeGB=0.03")),
)
MASTER_KEY = "correct horse battery staple, as a Secret has it"
ENCRYPTION = (
    "lmcache.tenants.encryption.enabled=true",
    "lmcache.tenants.encryption.existingSecret=kv-keys",
)

DECRYPT = """
import sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lmcache.v1.distributed.serde import HkdfKeyProvider, aesgcm
keys = HkdfKeyProvider(sys.argv[1].encode(), 32, aesgcm._HKDF_INFO_PREFIX)
frame = sys.stdin.buffer.read()
sys.stdout.buffer.write(AESGCM(keys.get_key(sys.argv[2])).decrypt(frame[1:13], frame[13:], None))
"""
"""Written from LMCache's format, `lmcache/v1/distributed/serde/aesgcm.py`: version, nonce, ciphertext with its tag."""


@contextmanager
def bench_of(*settings: str, tokens: int = 2000, secrets: Any = None) -> Iterator[Bench]:
    with (
        running(*TENANTS, *settings, secrets=secrets) as target,
        Bench(target, None, measurement=Measurement(prompt_tokens=tokens), journal=Journal()).opened() as bench,
    ):
        bench.calibrate()
        yield bench


@contextmanager
def as_tenant(probe: Probe, salt: str) -> Iterator[Probe]:
    """The probe, sending requests of this tenant."""
    probe.cache_salt = salt
    try:
        yield probe
    finally:
        probe.cache_salt = ""


def looked_up(probe: Probe, prompt: str, *, salt: str) -> Pass:
    """One request of a tenant, of which LMCache's log says how much it found."""
    with as_tenant(probe, salt) as own:
        sent = own.look_up(prompt, max_tokens=1)
    assert isinstance(sent.log, RequestLog)
    assert sent.log.lookup, f"no lookup of {sent.request_id} is in the log"
    return sent


def stored(bench: Bench, probe: Probe, prompt: str, *, salt: str) -> Pass:
    """A tenant's prompt, in the server's memory and in Redis."""
    with as_tenant(probe, salt) as own:
        return bench.store(own, prompt, max_tokens=1)


def redis_of(bench: Bench) -> Any:
    backend = bench.target.backend
    assert backend
    settings = backend.settings  # type: ignore[attr-defined] # a LocalBackend, which alone tells
    return redis.Redis.from_url(settings.redis_url, **settings.login)


def test_the_time_to_an_answer_does_not_tell_what_another_tenant_has_asked() -> None:
    seen: list[Pass] = []
    fresh: list[Pass] = []
    own: list[Pass] = []
    with bench_of() as bench:
        first, second = bench.probes
        for pair in range(PAIRS):
            prompt, other = bench.long_prompt(), bench.long_prompt()
            stored(bench, first, prompt, salt=A)
            # In turns, so that what slows the machine down slows both.
            asked = {prompt: seen, other: fresh}
            for text in (prompt, other) if pair % 2 else (other, prompt):
                asked[text].append(looked_up(second, text, salt=B))
            own.append(looked_up(second, prompt, salt=A))
        text = "\n".join(line.text for probe in bench.probes for line in probe.replica.logs())
        names = b"\n".join(redis_of(bench).scan_iter()).decode()
    assert [one.hit_tokens for one in seen + fresh] == [0] * 2 * PAIRS
    assert all(one.hit_tokens >= 0.9 * (one.prompt_tokens - 256) for one in own)

    def gains(passes: list[Pass]) -> list[float]:
        return [slow.ttft_s / quick.ttft_s for slow, quick in zip(fresh, passes, strict=True)]

    # The test sees a hit: tenant A asks its own prompt, on the replica on which B asked it.
    assert lower_bound(gains(own), quantile=CHANCE) > 1
    assert lower_bound(gains(seen), quantile=CHANCE) <= 1
    assert statistics.median(gains(seen)) - 1 < (statistics.median(gains(own)) - 1) / 10
    for salt in (A, B):
        assert salt not in text
        assert salt not in names
        assert name_of(salt) in names


def flooded(bench: Bench, probe: Probe) -> tuple[int, int, int]:
    """A's chunks, and how many come from memory and from Redis after B has stored more than the memory holds."""
    prompts = [bench.long_prompt() for _ in range(OF_A)]
    chunks = sum(bench.chunks(stored(bench, probe, prompt, salt=A).prompt_tokens) for prompt in prompts)
    for _ in range(OF_B):
        stored(bench, probe, bench.long_prompt(), salt=B)
    tiers = []
    for prompt in prompts:
        sent = looked_up(probe, prompt, salt=A)
        assert isinstance(sent.log, RequestLog)
        assert sent.log.tiers
        tiers.append(sent.log.tiers)
    return chunks, sum(found.l1_objects for found in tiers), sum(found.l2_objects for found in tiers)


def restart(bench: Bench, probe: Probe) -> None:
    """Kill the server of the last replica and wait until its engine stores again."""
    server = bench.target.cache_server
    assert server
    server.stop()
    server.start()

    def stores() -> bool | Pending:
        sent = probe.store(bench.short_prompt(), max_tokens=1)
        assert isinstance(sent.log, RequestLog)
        return sent.log.stored_tokens > 0 or Pending("nothing is stored")

    wait_for(stores, timeout=120, delay=1, describe="the engine to store in the new server")


def test_a_tenant_over_its_quota_evicts_nothing_of_another_after_a_restart_too() -> None:
    with bench_of(*MEMORY, *QUOTAS, tokens=1500) as bench:
        _, probe = bench.probes
        restart(bench, probe)
        chunks, from_memory, from_redis = flooded(bench, probe)
        starts = [line.text for line in probe.replica.logs() if "quotas keep" in line.text]
    assert len(starts) == 2
    assert (from_memory, from_redis) == (chunks, 0)


def test_without_quotas_one_tenant_evicts_another() -> None:
    """When this fails, the test above does not store enough to show anything."""
    with bench_of(*MEMORY, tokens=1500) as bench:
        _, probe = bench.probes
        chunks, from_memory, from_redis = flooded(bench, probe)
    assert (from_memory, from_redis) == (0, chunks)


def chunk_in_redis(*settings: str, **secrets: Any) -> bytes:
    """What Redis holds of the only whole chunk of a prompt, which another replica can load."""
    with bench_of(*settings, **secrets) as bench:
        first, second = bench.probes
        # Its words are those of every run, and so is its chunk.
        prompt = PromptSource(seed=1).fresh(bench.words(400))
        stored(bench, first, prompt, salt=A)
        assert looked_up(second, prompt, salt=B).hit_tokens == 0
        assert looked_up(second, prompt, salt=A).hit_tokens == 256
        client = redis_of(bench)
        (name,) = [name for name in client.scan_iter() if name_of(A).encode() in name]
        content: bytes = client.get(name)
        return content


def test_the_backend_holds_the_plaintext_of_a_chunk_only_without_encryption() -> None:
    plain = chunk_in_redis()
    secret = chunk_in_redis(*ENCRYPTION, secrets={"kv-keys": {"master-key": MASTER_KEY}})
    assert len(secret) == len(plain) + 29
    command = [str(ensure_engine(untold).python), "-c", DECRYPT, MASTER_KEY, name_of(A)]
    opened = subprocess.run(command, input=secret, stdout=subprocess.PIPE, check=True).stdout

    # The same numbers, as far as two runs compute the same; each byte of them is in the backend, or none is.
    before, after = array("f", plain), array("f", opened)
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) < 0.01
    assert max(map(abs, before)) > 0.1
    pieces = [opened[start : start + 16] for start in range(0, len(opened), 4096)]
    assert not [piece for piece in pieces if piece in secret]
    assert [piece for piece in pieces if piece in plain]
