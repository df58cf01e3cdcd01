"""A replica is added: how soon does it answer as a replica that has served for a while?

A replica that starts again in another's place has all that makes a replica new: an engine without a single request
behind it, and empty memory. So the release keeps its size, and nothing but the cache differs between the two.
"""

from collections.abc import Sequence

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Pass, ScaleOut, Unreadable
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.probe import Probe

_STAGE = "scale out"
_STEPS = 4


def scale_out(bench: Bench) -> ScaleOut | Unreadable:
    """Measure the first requests of a new replica, with a shared cache and as if there were none."""
    try:
        return _scale_out(bench)
    except (HarnessError, OSError) as error:
        return Unreadable(str(error))


def _scale_out(bench: Bench) -> ScaleOut:
    count = bench.measurement.scale_out_requests
    writer, last = bench.probes[0], bench.probes[-1]
    bench.journal.progress(_STAGE, 0, _STEPS, f"{writer.name} computes {count} prompts")
    known = [bench.long_prompt() for _ in range(count)]
    for prompt in known:
        bench.store(writer, prompt)
    bench.journal.progress(_STAGE, 1, _STEPS, f"{last.name} gets them")
    old = _asked(bench, last, known)
    start_s = _replaced(bench, last)
    bench.journal.progress(_STAGE, 2, _STEPS, f"{last.name} is new and gets them")
    shared = _asked(bench, last, known)
    _replaced(bench, last)
    bench.journal.progress(_STAGE, 3, _STEPS, f"{last.name} is new and gets {count} prompts that nobody computed")
    alone = _asked(bench, last, [bench.long_prompt() for _ in range(count)])
    bench.journal.progress(_STAGE, _STEPS, _STEPS)
    return ScaleOut(old=old, shared=shared, alone=alone, start_s=start_s)


def _asked(bench: Bench, probe: Probe, prompts: Sequence[str]) -> tuple[Pass, ...]:
    return tuple(probe.load(prompt, max_tokens=bench.measurement.answer_tokens) for prompt in prompts)


def _replaced(bench: Bench, probe: Probe) -> float:
    """Put a new replica in the place of one; seconds until it was ready."""
    with bench.journal.fault(f"{probe.name} replaced by a new replica"):
        begin = bench.clock.monotonic()
        bench.target.restart_replica(probe.index)
        took_s = bench.clock.monotonic() - begin
    probe.reopen()
    return took_s
