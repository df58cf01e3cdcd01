"""Check `backend-grew`: the backend holds an entry for every chunk that was computed."""

from typing import Any

from lmcache_kserve.evidence import BackendGrowth, Evidence
from lmcache_kserve.verdict import diagnosis, needs
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.wording import unread


def _judge(evidence: Evidence) -> Judgement:
    seen = evidence.growth
    if not isinstance(seen, BackendGrowth):
        return unread(evidence, seen)
    before, after = seen.before, seen.after
    grown_bytes = after.size_bytes - before.size_bytes
    numbers: dict[str, Any] = {
        "chunks": seen.chunks,
        "workers": seen.workers,
        "size_bytes_before": before.size_bytes,
        "size_bytes_after": after.size_bytes,
        "entries_before": before.entries,
        "entries_after": after.entries,
    }
    if before.entries is None or after.entries is None:
        return Judgement(
            passed=grown_bytes > 0 and seen.chunks > 0,
            seen=f"The backend grew by {grown_bytes} bytes for {seen.chunks} chunks. It cannot count its entries.",
            evidence=numbers,
        )
    expected = seen.chunks * after.entries_per_chunk * seen.workers
    grown = after.entries - before.entries
    passed = grown >= expected > 0
    lost = "" if passed else " Either the backend is evicting (memory limit), or the replicas write to another backend."
    return Judgement(
        passed=passed,
        seen=f"The backend grew by {grown} entries and {grown_bytes} bytes. {seen.chunks} chunks of {seen.workers} "
        f"worker(s) make {expected} entries.{lost}",
        evidence=numbers | {"entries_expected": expected, "entries_grown": grown},
    )


CHECK = Check(
    id="backend-grew",
    title="The backend holds every chunk that was computed",
    rule="The backend gains the objects that the measured cold passes have to add. A backend that cannot count its "
    "objects has to grow in size.",
    needs=(needs.backend,),
    judge=_judge,
    causes=(diagnosis.no_connector, diagnosis.chunk_size, *diagnosis.BACKEND, diagnosis.nothing_logged),
)
