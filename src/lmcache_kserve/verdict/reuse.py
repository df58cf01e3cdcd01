"""Was what one replica computed reused: across replicas, after a restart, through the backend, and by vLLM's count."""

from collections.abc import Mapping
from typing import Any

from lmcache_kserve.evidence import Evidence, Pair, Pass, Restart, Unreadable, full_chunk_tokens
from lmcache_kserve.lmcache.logs import RequestLog
from lmcache_kserve.verdict import diagnosis
from lmcache_kserve.verdict.check import Check, Thresholds, first, not_run, unread


def cross_replica_hit(evidence: Evidence, limits: Thresholds) -> Check:
    """A replica loads what another computed, and nothing was there before."""
    name = "cross-replica-hit"
    seeds = diagnosis.seeds(evidence)
    pairs = evidence.measured
    chunk = evidence.subject.chunk_size
    faults = [fault for pair in pairs for fault in (*_hit_faults(pair, chunk, limits), *_tier_faults(evidence, pair))]
    if not pairs:
        faults.append(not_run(evidence))
    if None in seeds.values() or len(set(seeds.values())) != 1:
        faults.append(f"the replicas have no common PYTHONHASHSEED ({_seed_words(seeds)})")
    hit = sum(pair.warm.hit_tokens for pair in pairs)
    possible = sum(full_chunk_tokens(pair.warm.prompt_tokens, chunk) for pair in pairs)
    return Check(
        id=name,
        passed=not faults,
        observed=first(faults)
        or f"{hit} of {possible} tokens in full chunks, computed by one replica, were loaded by the other "
        f"in {len(pairs)} prompts.",
        evidence={
            "hit_tokens": hit,
            "full_chunk_tokens": possible,
            "share": hit / possible if possible else None,
            "cold_hit_tokens": sum(pair.cold.hit_tokens for pair in pairs),
            "pythonhashseed": seeds,
            "faults": faults,
            "passes": [_hit_facts(pair) for pair in pairs],
        },
    )


def restart_hit(evidence: Evidence, limits: Thresholds) -> Check:
    """A replica that was started anew loads what was cached before it existed."""
    name, seen = "restart-hit", evidence.restart
    if not isinstance(seen, Restart):
        return unread(name, evidence, seen)
    warm = seen.repeated
    faults = _warm_faults("the repeated prompt", warm, evidence.subject.chunk_size, limits)
    return Check(
        id=name,
        passed=not faults,
        observed=first(faults)
        or f"{warm.replica}, started anew with empty memory, loaded {warm.hit_tokens} of "
        f"{full_chunk_tokens(warm.prompt_tokens, evidence.subject.chunk_size)} tokens in full chunks that were cached "
        "before it existed.",
        evidence={
            "replica": warm.replica,
            "request_id": warm.request_id,
            "hit_tokens": warm.hit_tokens,
            "prompt_tokens": warm.prompt_tokens,
            "ttft_s": warm.ttft_s,
            "faults": faults,
        },
    )


def backend_grew(evidence: Evidence, _limits: Thresholds) -> Check:
    """The backend holds an entry for every chunk that was computed."""
    name, seen = "backend-grew", evidence.growth
    if seen is None or isinstance(seen, Unreadable):
        return unread(name, evidence, seen)
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
        return Check(
            id=name,
            passed=grown_bytes > 0 and seen.chunks > 0,
            observed=f"The backend grew by {grown_bytes} bytes for {seen.chunks} chunks (it cannot count its entries).",
            evidence=numbers,
        )
    expected = seen.chunks * after.entries_per_chunk * seen.workers
    grown = after.entries - before.entries
    fits = grown >= expected > 0
    lost = "" if fits else " It may be evicting (its memory limit) or is not the one that the replicas write to."
    return Check(
        id=name,
        passed=fits,
        observed=f"The backend grew by {grown} entries and {grown_bytes} bytes; {seen.chunks} chunks of {seen.workers} "
        f"worker(s) make {expected} entries.{lost}",
        evidence=numbers | {"entries_expected": expected, "entries_grown": grown},
    )


def external_hits_metric(evidence: Evidence, limits: Thresholds) -> Check:
    """The counter of vLLM agrees with LMCache's log."""
    name, seen = "external-hits-metric", evidence.external_hits
    if seen is None or isinstance(seen, Unreadable):
        return unread(name, evidence, seen)
    counted = seen.after - seen.before
    return Check(
        id=name,
        passed=seen.logged_hit_tokens > 0 and counted >= limits.counted_share * seen.logged_hit_tokens,
        observed=f"vllm:external_prefix_cache_hits_total grew by {counted:.0f} tokens; LMCache logged "
        f"{seen.logged_hit_tokens} hit tokens.",
        evidence={"before": seen.before, "after": seen.after, "logged_hit_tokens": seen.logged_hit_tokens},
    )


def _hit_faults(pair: Pair, chunk: int, limits: Thresholds) -> list[str]:
    where = f"prompt {pair.index + 1}"
    faults = []
    if pair.cold.replica == pair.warm.replica:
        faults.append(f"{where}: cold and warm ran on the same replica {pair.warm.replica}")
    if not isinstance(pair.cold.log, RequestLog):
        faults.append(f"{where}: {_why(pair.cold.log)}")
    elif pair.cold.log.lookup is None:
        faults.append(f"{where}: {pair.cold.replica} logged no lookup for the cold pass")
    elif pair.cold.hit_tokens:
        faults.append(f"{where}: the cold pass already hit {pair.cold.hit_tokens} tokens")
    return faults + _warm_faults(where, pair.warm, chunk, limits)


def _tier_faults(evidence: Evidence, pair: Pair) -> list[str]:
    """What another server of mode multiprocess stored, a replica can only have from the backend."""
    if evidence.subject.mode != "multiprocess" or evidence.share_a_server((pair.cold.replica, pair.warm.replica)):
        return []
    where = f"prompt {pair.index + 1}"
    tiers = pair.warm.log.tiers if isinstance(pair.warm.log, RequestLog) else None
    if tiers is None:
        return [f"{where}: the server of {pair.warm.replica} logged no tier of the hit"]
    if tiers.l1_objects or not tiers.l2_objects:
        l1, l2 = tiers.l1_objects, tiers.l2_objects
        return [
            f"{where}: {l1} objects came from the memory of {pair.warm.replica}'s own server, {l2} from the backend"
        ]
    return []


def _warm_faults(where: str, warm: Pass, chunk: int, limits: Thresholds) -> list[str]:
    if not isinstance(warm.log, RequestLog):
        return [f"{where}: {_why(warm.log)}"]
    full = full_chunk_tokens(warm.prompt_tokens, chunk)
    if not full:
        return [f"{where}: its {warm.prompt_tokens} tokens fill no chunk of {chunk}"]
    if warm.log.lookup is None:
        return [f"{where}: {warm.replica} logged no lookup, 0 of {full} tokens hit"]
    faults = []
    if warm.hit_tokens < limits.hit_share * full:
        faults.append(f"{where}: {warm.replica} hit {warm.hit_tokens} of {full} tokens in full chunks")
    if not warm.log.retrieved_tokens:
        faults.append(f"{where}: {warm.replica} logged no 'Retrieved' line")
    return faults


def _hit_facts(pair: Pair) -> dict[str, Any]:
    return {
        "cold_replica": pair.cold.replica,
        "cold_request_id": pair.cold.request_id,
        "cold_hit_tokens": pair.cold.hit_tokens,
        "stored_tokens": pair.cold.log.stored_tokens if isinstance(pair.cold.log, RequestLog) else None,
        "warm_replica": pair.warm.replica,
        "warm_request_id": pair.warm.request_id,
        "warm_hit_tokens": pair.warm.hit_tokens,
        "warm_tiers": _tiers(pair.warm.log),
        "retrieved_tokens": pair.warm.log.retrieved_tokens if isinstance(pair.warm.log, RequestLog) else None,
        "prompt_tokens": pair.warm.prompt_tokens,
    }


def _tiers(log: object) -> dict[str, int] | None:
    tiers = log.tiers if isinstance(log, RequestLog) else None
    return {"l1_objects": tiers.l1_objects, "l2_objects": tiers.l2_objects} if tiers else None


def _why(log: object) -> str:
    return f"{log.why} cannot be read" if isinstance(log, Unreadable) else "there is no log"


def _seed_words(seeds: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name}: {'not set' if seed is None else seed}" for name, seed in seeds.items())
