"""Check `cache-server-outage`: the service answers without an LMCache server, and hits return with the server."""

from lmcache_kserve.evidence import Evidence
from lmcache_kserve.verdict import needs
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.outage import judge_outage


def _judge(evidence: Evidence) -> Judgement:
    return judge_outage(evidence, evidence.server_outage, "an LMCache server")


CHECK = Check(
    id="cache-server-outage",
    title="The service answers without its LMCache server",
    rule="Every request before, during and after an outage of the last replica's LMCache server is answered correctly, "
    "and every replica is asked during the outage. Hits return by themselves.",
    needs=(needs.faults, needs.cache_server),
    judge=_judge,
)
