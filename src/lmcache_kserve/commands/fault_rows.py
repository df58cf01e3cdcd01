"""One release under every fault: what `lmcache-kserve faults` does for one backend, in one mode, with one client."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmcache_kserve.chart.manifests import POD_SPEC_PATHS, Manifests
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.commands.ways import clients_of
from lmcache_kserve.concurrency import first_failure
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Outage, Unreadable
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.corruption import Loads, load_corrupted
from lmcache_kserve.experiment.faults import Fault, disturb
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.lmcache.count import folder
from lmcache_kserve.local.corruption import Corruptor, stored_in
from lmcache_kserve.local.scenarios import (
    CORRUPTED,
    DOWN,
    FULL,
    SERVER_KILLED,
    Scenario,
    impossible,
    nothing,
    scenarios,
)
from lmcache_kserve.local.small_folder import is_full
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.report.fault_table import FaultRow, unjudged
from lmcache_kserve.waiting import Clock, wait_for

_FILLING_PROMPTS = 8
"""Twice as much as fits, with 3,000 tokens each of the test model."""
_FULL_TIMEOUT_S = 20.0
_MEMORY_POLL_S = 0.2
_CLEANER, _CLEANER_SCRIPT = "cleaner", "clean_filesystem.py"
_CLEANER_TIMEOUT_S = 60
_UNJUDGED_CHUNKS = 40
"""So many show what a client without a checksum does with them."""


def without_impossible(faults: Sequence[str], backend: str, other: str | None) -> tuple[dict[str, str], list[str]]:
    """Faults that cannot be tried, each with the reason, and those that can.

    Args:
        faults: all of them.
        backend: the value of `remoteBackend.type`.
        other: why the folder of a `filesystem` cannot be made full here; None where it can.
    """
    reasons = {}
    for fault in faults:
        reason = impossible(backend, fault) or (other if backend == "filesystem" and fault == FULL else None)
        if reason:
            reasons[fault] = reason
    return reasons, [fault for fault in faults if fault not in reasons]


def with_the_missing(rows: Iterator[FaultRow], faults: Sequence[str], *, empty: FaultRow) -> Iterator[FaultRow]:
    """The rows and, when an error ends them, one for each fault that was not tried, with the error as its problem."""
    tried: set[str] = set()
    try:
        for one in rows:
            tried.add(one.fault)
            yield one
    except HarnessError as error:
        for name in faults:
            if name not in tried:
                yield replace(empty, fault=name, problem=f"the run ended: {error}")


class Breaker:
    """The rows of one release."""

    def __init__(
        self,
        target: LocalTarget,
        measurement: Measurement,
        stages: Stages,
        *,
        chunks: int,
        clock: Clock | None = None,
    ) -> None:
        """Prepare the faults; `chunks` says how many are changed, where the client has a checksum."""
        if target.backend is None:
            raise HarnessError(f"remoteBackend.type={target.backend_type} has nothing that could fail")
        self._target = target
        self._backend = target.backend
        self._measurement = measurement
        self._stages = stages
        self._chunks = chunks if target.settings.has_checksums else min(chunks, _UNJUDGED_CHUNKS)
        self._clock = clock
        self._loads: Loads | None = None

    @property
    def empty(self) -> FaultRow:
        """A row without a fault."""
        client = self._target.settings.client or self._backend.type
        return FaultRow(backend=self._backend.type, mode=self._target.mode, client=client, fault="")

    def rows(self, faults: Sequence[str]) -> Iterator[FaultRow]:
        """Start the release, without the backend where that is a fault, and go through the faults."""
        stage = f"{self._backend.type} {self._target.mode} by {self.empty.client}"
        down = DOWN in faults
        self._stages.update(stage, 0, len(faults), f"replicas start{' without the backend' if down else ''}")
        self._target.start(backend=not down)
        journal = Journal(progress=self._stages.update)
        opened = Bench(self._target, None, measurement=self._measurement, journal=journal, clock=self._clock).opened()
        with opened as bench:
            bench.calibrate()
            for number, name in enumerate(faults, start=1):
                one = self._row(bench, name)
                self._stages.update(
                    stage, number, len(faults), f"{name}: {one.outcome} {'; '.join(one.faults)}".rstrip()
                )
                yield one

    def _row(self, bench: Bench, name: str) -> FaultRow:
        scenario = self._scenario(bench, name)
        reconnects = self._backend.client_reconnects or not scenario.breaks or name == SERVER_KILLED
        self._loads = None
        self._make_room()
        with _peak(lambda: self._backend.resident_bytes) as peak:
            fault = Fault(name=name, client_reconnects=reconnects, begin=scenario.begin, end=scenario.end)
            outage = disturb(bench, fault, stage=name)
        if not reconnects:
            self._restart_replicas(bench)
        has_direct = "direct" in clients_of(self._backend.type, self._target.mode)
        one = replace(
            self.empty,
            fault=name,
            hits_expected=reconnects,
            memory_peak_bytes=peak[0],
            unjudged=unjudged(name, has_checksums=self._target.settings.has_checksums, has_direct=has_direct),
        )
        return self._filled(one, outage)

    def _filled(self, one: FaultRow, outage: Outage | Unreadable) -> FaultRow:
        if isinstance(outage, Unreadable):
            return replace(one, problem=outage.why)
        if self._loads is None:
            return one.seen(outage)
        answers = (*outage.answers, *self._loads.answers)
        return replace(one, corrupted=self._loads.chunks).seen(replace(outage, answers=answers))

    def _scenario(self, bench: Bench, name: str) -> Scenario:
        if name == SERVER_KILLED:
            server = self._target.cache_server
            if server is None:
                raise HarnessError(f"lmcache.mode {self._target.mode} has no LMCache server")
            return Scenario(server.stop, server.start, breaks=True)
        return {
            DOWN: Scenario(nothing, self._backend.start, breaks=True),
            FULL: self._full(bench),
            CORRUPTED: Scenario(lambda: self._corrupt(bench), nothing, breaks=False),
            **scenarios(self._backend, self._target.links),
        }[name]

    def _full(self, bench: Bench) -> Scenario:
        """More prompts than fit. A server evicts by itself; the chart's cleaner makes room in a folder."""
        if self._backend.type != "filesystem":
            return Scenario(lambda: _fill(bench), nothing, breaks=False)
        place = Path(self._target.settings.shared_folder or "")

        def fill() -> None:
            _fill(bench)
            wait_for(
                lambda: is_full(place), timeout=_FULL_TIMEOUT_S, delay=0.5, describe="the shared folder to be full"
            )

        return Scenario(fill, lambda: clean(self._target.manifests, place), breaks=False)

    def _corrupt(self, bench: Bench) -> None:
        corruptor = Corruptor(stored_in(self._backend), seed=bench.seed)

        def told(done: int) -> None:
            self._make_room()
            self._stages.update(CORRUPTED, min(done, self._chunks), self._chunks, f"chunks: {corruptor.counts}")

        self._loads = load_corrupted(bench, corruptor.corrupt, chunks=self._chunks, told=told)

    def _make_room(self) -> None:
        """Empty a shared folder: nothing in it is evicted, and it is small."""
        if self._backend.type == "filesystem":
            for file in folder.chunks(Path(self._target.settings.shared_folder or "")):
                file.unlink(missing_ok=True)

    def _restart_replicas(self, bench: Bench) -> None:
        """Restart every replica: the client of this backend never reconnects."""
        with ThreadPoolExecutor(max_workers=len(bench.probes)) as pool:
            restarts = [pool.submit(self._target.restart_replica, probe.index) for probe in bench.probes]
            first_failure(restarts, then=self._target.stop)
        for probe in bench.probes:
            probe.reopen()


def clean(manifests: Manifests, place: Path) -> None:
    """Run the chart's cleaner once, as its CronJob does.

    Raises:
        HarnessError: the release has no cleaner, or the cleaner failed.
    """
    for job in manifests.of_kind("CronJob"):
        spec: Any = job
        for key in POD_SPEC_PATHS["CronJob"]:
            spec = spec[key]
        container = spec["containers"][0]
        if container["name"] == _CLEANER:
            name = next(volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume)
            script = manifests.one("ConfigMap", name)["data"][_CLEANER_SCRIPT]
            break
    else:
        raise HarnessError("nothing makes room in the folder: leave remoteBackend.filesystem.cleaning.enabled true")
    done = subprocess.run(
        [sys.executable, "-c", script, str(place), container["args"][1]],
        capture_output=True,
        text=True,
        timeout=_CLEANER_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise HarnessError(f"the cleaner of the shared folder failed: {done.stderr.strip()}")


def _fill(bench: Bench) -> None:
    for turn in range(_FILLING_PROMPTS):
        bench.probes[turn % len(bench.probes)].send(bench.long_prompt(), max_tokens=1)


@contextmanager
def _peak(measure: Callable[[], int]) -> Iterator[list[int]]:
    """Watch a number in the background; the list holds the largest one seen."""
    largest = [0]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_MEMORY_POLL_S):
            largest[0] = max(largest[0], measure())

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield largest
    finally:
        stop.set()
        thread.join()
