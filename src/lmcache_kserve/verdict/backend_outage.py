"""Check `backend-outage`: the service answers without its backend, and hits return with the backend."""

from lmcache_kserve.evidence import Evidence
from lmcache_kserve.verdict import diagnosis, needs
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.outage import judge_outage


def _judge(evidence: Evidence) -> Judgement:
    return judge_outage(evidence, evidence.outage, "the backend")


CHECK = Check(
    id="backend-outage",
    title="The service answers without its cache",
    rule="Every request before, during and after an outage of the backend is answered correctly, and every replica is "
    "asked during the outage. Hits return where LMCache's client for that backend reconnects.",
    needs=(needs.faults, needs.backend, needs.own_backend),
    judge=_judge,
    causes=(*diagnosis.BACKEND, diagnosis.one_replica),
)
