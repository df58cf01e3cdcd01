"""What a soak saw: values only, nothing judged. Moments are seconds since the traffic began."""

from collections.abc import Mapping
from dataclasses import dataclass

from lmcache_kserve.target import Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the processes of one container hold together.

    Attributes:
        resident_bytes: memory; pages that two of the processes share count twice.
        descriptors: open file descriptors.
        threads: threads.
        connections: TCP and UDP sockets, without those that listen.
    """

    resident_bytes: int
    descriptors: int
    threads: int
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container at one moment.

    Attributes:
        name: pod and container: `predictor-0/kserve-container`.
        life: changes when the container starts again.
        of_backend: whether it is a part of the remote backend.
        usage: what it holds.
    """

    name: str
    life: str
    of_backend: bool
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a release takes of its machine at one moment.

    Attributes:
        containers: every container that runs.
        files: files below the release's folder, whatever made them.
        log_bytes: size of all logs.
    """

    containers: tuple[Container, ...]
    files: int
    log_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the release.

    Attributes:
        at_s: when.
        requests: requests that had ended by then.
        watched: what the release took.
        contents: what the backend held; None where the backend could not be asked, as while it is down.
    """

    at_s: float
    requests: int
    watched: Watched
    contents: Contents | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request of the mixed traffic, with its retry where a killed replica cut it off.

    Attributes:
        request_id: the id of the last try.
        replica: the replica that was asked last.
        how: `streamed`, `whole` (not streamed) or `cancelled` (the client hangs up midway).
        prompt: the prompt's number in the pool.
        at_s: when the first try was sent.
        total_s: seconds to the end of the answer, to the hang-up or to the error, over both tries.
        cut_off: the error of the first try, where its replica was killed meanwhile and the request was sent again.
        error: why there was no answer in the end, else None.
        wrong: the beginning of an answer that is not the expected one, else None.
    """

    request_id: str
    replica: str
    how: str
    prompt: int
    at_s: float
    total_s: float
    cut_off: str | None = None
    error: str | None = None
    wrong: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """One planned entry of the schedule.

    Attributes:
        at_s: when it shall begin.
        lasts_s: how long it shall last; a killed replica takes as long as its start.
        faults: names of one fault, or of two at once.
    """

    at_s: float
    lasts_s: float
    faults: tuple[str, ...]

    def __str__(self) -> str:
        """The faults, for people."""
        return " + ".join(self.faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbed:
    """A disturbance as it happened.

    Attributes:
        planned: its entry in the schedule.
        began_s: when it began; later than planned where the one before it took long.
        over_s: when everything was back.
        hits_returned_s: seconds from then until every replica found a fresh prompt of another one; None without that.
        problem: why it could not be carried out, else None.
    """

    planned: Disturbance
    began_s: float
    over_s: float
    hits_returned_s: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """Everything that one soak saw.

    Attributes:
        mode: the value of `lmcache.mode`.
        backend_type: the value of `remoteBackend.type`.
        versions: versions of what ran, by name.
        seed: of the schedule, the prompts and the choices of the traffic.
        wanted_s: how long the user wanted it to last.
        lasted_s: how long it lasted.
        quiet_start_s: how long the traffic ran before the first disturbance could come.
        pool_prompts: prompts that the traffic chose from.
        pool_chunks: chunks of LMCache in them.
        unsteady_prompts: prompts left out because the engine without a cache changed its own answers to them.
        most_at_once: most requests that were on their way at the same time.
        schedule: the planned disturbances.
        disturbed: those that happened.
        asked: the requests, in the order in which they were sent.
        samples: the looks at the release, oldest first.
    """

    mode: str
    backend_type: str
    versions: Mapping[str, str]
    seed: int
    wanted_s: float
    lasted_s: float
    quiet_start_s: float
    pool_prompts: int
    pool_chunks: int
    unsteady_prompts: int
    most_at_once: int
    schedule: tuple[Disturbance, ...]
    disturbed: tuple[Disturbed, ...]
    asked: tuple[Asked, ...]
    samples: tuple[Sample, ...]
