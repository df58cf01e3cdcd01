from dataclasses import replace

from judging import failed, judged, of
from made_evidence import COLD, evidence

from lmcache_kserve.evidence import Restart


def test_a_restarted_replica_that_hits_nothing_fails() -> None:
    good = evidence()
    restart = of(good.restart, Restart)
    seen = replace(good, restart=replace(restart, repeated=replace(restart.repeated, log=COLD)))

    assert set(failed(seen)) == {"restart-hit"}


def test_what_the_new_replica_loaded_is_told() -> None:
    assert "loaded 2816 of 2816 tokens" in judged(evidence())["restart-hit"].summary
