"""Check `cross-replica-hit`: a replica loads what another replica computed, and nothing was cached before."""

from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_kserve.evidence import Evidence, Pair, full_chunk_tokens
from lmcache_kserve.lmcache.logs import RequestLog
from lmcache_kserve.verdict import diagnosis, needs
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.hits import HIT_SHARE, no_log, warm_faults
from lmcache_kserve.verdict.wording import judged, not_run


def _judge(evidence: Evidence) -> Judgement:
    pairs = evidence.measured
    chunk = evidence.subject.chunk_size
    seeds = {facts.name: facts.hash_seed for facts in evidence.engines}
    faults = [fault for pair in pairs for fault in _faults(evidence, pair)]
    if not pairs:
        faults.append(not_run(evidence).removesuffix("."))
    if None in seeds.values() or len(set(seeds.values())) != 1:
        faults.append(f"the replicas have no common PYTHONHASHSEED ({_listed(seeds)})")
    hit = sum(pair.warm.hit_tokens for pair in pairs)
    possible = sum(full_chunk_tokens(pair.warm.prompt_tokens, chunk) for pair in pairs)
    return judged(
        faults,
        f"The other replica loaded {hit} of {possible} tokens in full chunks, over {len(pairs)} prompts.",
        {
            "hit_tokens": hit,
            "full_chunk_tokens": possible,
            "share": hit / possible if possible else None,
            "cold_hit_tokens": sum(pair.cold.hit_tokens for pair in pairs),
            "pythonhashseed": seeds,
            "passes": [_facts(pair) for pair in pairs],
        },
    )


CHECK = Check(
    id="cross-replica-hit",
    title="A prefix computed by one replica is reused by another",
    rule="For every pair, the cold pass hits nothing, and the warm pass runs on another replica. That replica's log "
    f"names the request with hit tokens of at least {HIT_SHARE * 100:g} % of the prompt's full chunks, "
    "and has a `Retrieved` line. Every replica has the same explicit `PYTHONHASHSEED`. In mode multiprocess, a replica "
    "with a server of its own loads everything from the backend (L2) and nothing from that server's memory (L1).",
    needs=(needs.sharing,),
    judge=_judge,
    causes=(*diagnosis.NO_HITS, diagnosis.one_replica),
)


def _faults(evidence: Evidence, pair: Pair) -> Iterator[str]:
    prompt = f"prompt {pair.index + 1}"
    cold = pair.cold
    if cold.replica == pair.warm.replica:
        yield f"{prompt}: cold and warm ran on the same replica {cold.replica}"
    if not isinstance(cold.log, RequestLog):
        yield f"{prompt}: {no_log(cold.log)}"
    elif cold.log.lookup is None:
        yield f"{prompt}: {cold.replica} logged no lookup for the cold pass"
    elif cold.hit_tokens:
        yield f"{prompt}: the cold pass already hit {cold.hit_tokens} tokens"
    yield from warm_faults(prompt, pair.warm, evidence.subject.chunk_size)
    yield from _tier_faults(evidence, pair, prompt)


def _tier_faults(evidence: Evidence, pair: Pair, prompt: str) -> Iterator[str]:
    """In mode multiprocess, chunks that another server stored can only come from the backend (L2)."""
    if evidence.subject.mode != "multiprocess" or evidence.share_a_server((pair.cold.replica, pair.warm.replica)):
        return
    replica = pair.warm.replica
    tiers = pair.warm.log.tiers if isinstance(pair.warm.log, RequestLog) else None
    if tiers is None:
        yield f"{prompt}: the server of {replica} logged no tier of the hit"
    elif tiers.l1_objects or not tiers.l2_objects:
        yield (
            f"{prompt}: {tiers.l1_objects} objects came from the memory of {replica}'s own server, "
            f"{tiers.l2_objects} from the backend"
        )


def _facts(pair: Pair) -> dict[str, Any]:
    cold, warm = pair.cold, pair.warm
    tiers = warm.log.tiers if isinstance(warm.log, RequestLog) else None
    return {
        "cold_replica": cold.replica,
        "cold_request_id": cold.request_id,
        "cold_hit_tokens": cold.hit_tokens,
        "stored_tokens": cold.log.stored_tokens if isinstance(cold.log, RequestLog) else None,
        "warm_replica": warm.replica,
        "warm_request_id": warm.request_id,
        "warm_hit_tokens": warm.hit_tokens,
        "warm_tiers": {"l1_objects": tiers.l1_objects, "l2_objects": tiers.l2_objects} if tiers else None,
        "retrieved_tokens": warm.log.retrieved_tokens if isinstance(warm.log, RequestLog) else None,
        "prompt_tokens": warm.prompt_tokens,
    }


def _listed(seeds: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name}: {'not set' if seed is None else seed}" for name, seed in seeds.items())
