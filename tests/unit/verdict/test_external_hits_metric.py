from dataclasses import replace

from judging import failed, of
from made_evidence import evidence

from lmcache_kserve.evidence import ExternalHits


def test_a_metric_that_counts_fewer_hits_than_the_log_fails() -> None:
    good = evidence()
    hits = of(good.external_hits, ExternalHits)

    assert set(failed(replace(good, external_hits=replace(hits, after=hits.before)))) == {"external-hits-metric"}


def test_no_hits_at_all_are_not_proven_by_a_metric_that_did_not_move() -> None:
    seen = replace(evidence(), external_hits=ExternalHits(before=5, after=5, logged_hit_tokens=0))

    assert set(failed(seen)) == {"external-hits-metric"}
