"""The disk tier of mode multiprocess with a real engine: it stays bounded, and its chunks are found after restarts."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_release import running

from lmcache_kserve.evidence import Pass
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.probe import Probe
from lmcache_kserve.lmcache.logs import RequestLog
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.local, pytest.mark.long]

BOUND = 64 << 20
PROMPT_CHUNKS = 3
PROMPTS = 24
"""Of 2 MiB a chunk with the test model's float32, more than twice the bound."""

LAST = 4
"""Prompts that the disk holds in any case: less than half of the bound."""

ANSWER_TOKENS = 8
DISK = ("lmcache.mode=multiprocess", "lmcache.localDisk.enabled=true", f"lmcache.localDisk.sizeGB={BOUND / 2**30}")
NODE = ("remoteBackend.type=none", "lmcache.multiprocess.placement=daemonset")


@dataclass(frozen=True)
class Run:
    """A release whose server has a disk, and the folder that is the disk."""

    target: LocalTarget
    bench: Bench
    folder: Path

    def held(self) -> int:
        """Bytes on the disk, which are never more than the bound."""
        held = 0
        for file in self.folder.glob("*.data"):
            with suppress(FileNotFoundError):  # evicted meanwhile
                held += file.stat().st_size
        assert held <= BOUND
        return held

    def settled(self) -> int:
        """Bytes on the disk, once LMCache has written what it stores behind the scenes."""
        sizes: list[int] = []

        def quiet() -> bool | Pending:
            sizes.append(self.held())
            return sizes[-6:] == [sizes[-1]] * 6 or Pending(f"{sizes[-1]} bytes")

        wait_for(quiet, timeout=60, delay=0.25, describe="the server to write no more to its disk")
        return sizes[-1]

    def store(self, probe: Probe, count: int) -> list[str]:
        """Send fresh prompts, and return them."""
        prompts = [self.bench.short_prompt() for _ in range(count)]
        for prompt in prompts:
            sent = probe.store(prompt, max_tokens=ANSWER_TOKENS)
            assert self.bench.chunks(sent.prompt_tokens) == PROMPT_CHUNKS
            self.held()
        assert self.settled() > 0
        return prompts

    def restart_server(self, probe: Probe, prompt: str) -> None:
        """Kill the server of a replica, start it again, and wait until the replica finds a prompt by it."""
        server = probe.replica.cache_server
        assert self.target.cache_server
        assert self.target.cache_server.name == server
        self.target.cache_server.stop()
        self.target.cache_server.start()

        def found() -> bool | Pending:
            hit = probe.load(prompt, max_tokens=ANSWER_TOKENS).hit_tokens
            return hit > 0 or Pending("no hit")

        wait_for(found, timeout=120, describe="hits after the restart of the server")

    @property
    def prompt_tokens(self) -> int:
        """Tokens that a hit of a whole prompt finds."""
        return PROMPT_CHUNKS * self.target.chunk_size


@contextmanager
def run(*settings: str) -> Iterator[Run]:
    with running(*DISK, *settings) as target:
        measurement = Measurement(log_timeout_s=5)
        with Bench(target, None, measurement=measurement, journal=Journal()).opened() as bench:
            assert target.cache_server
            bench.calibrate()
            pod = target.cache_server.pod.plan.name
            yield Run(target, bench, target.directory / "pods" / pod / "volumes" / "lmcache-disk")


def from_disk(found: Pass) -> bool:
    """Whether every chunk came from below the server's memory."""
    assert isinstance(found.log, RequestLog)
    assert found.log.tiers
    return found.log.tiers.l1_objects == 0 and found.log.tiers.l2_objects > 0


def test_the_disk_of_a_node_stays_bounded_and_outlives_its_server_and_its_replicas() -> None:
    with run(*NODE) as release:
        writer, reader = release.bench.probes
        prompts = release.store(writer, PROMPTS)
        (size,) = {file.stat().st_size for file in release.folder.glob("*.data")}
        assert PROMPTS * PROMPT_CHUNKS * size > 2 * BOUND

        release.target.restart_replica(writer.index)
        writer.reopen()
        assert writer.load(prompts[-1], max_tokens=ANSWER_TOKENS).hit_tokens == release.prompt_tokens

        release.restart_server(reader, prompts[-1])
        for prompt in prompts[-LAST:-1]:
            found = reader.load(prompt, max_tokens=ANSWER_TOKENS)
            assert found.hit_tokens == release.prompt_tokens
            assert from_disk(found)
        assert reader.load(prompts[0], max_tokens=ANSWER_TOKENS).hit_tokens == 0

        before = release.settled()
        assert before > BOUND // 2
        later = release.store(reader, PROMPTS)
        release.restart_server(reader, later[-1])
        assert from_disk(reader.load(later[-2], max_tokens=ANSWER_TOKENS))


def test_the_disk_of_a_replica_answers_while_the_backend_is_away() -> None:
    with run() as release:
        reader = release.bench.probes[-1]
        assert release.target.backend
        prompts = release.store(reader, LAST)
        release.target.backend.stop()
        release.restart_server(reader, prompts[-1])
        for prompt in prompts[:-1]:
            found = reader.load(prompt, max_tokens=ANSWER_TOKENS)
            assert found.hit_tokens == release.prompt_tokens
            assert from_disk(found)
        release.target.backend.start()
