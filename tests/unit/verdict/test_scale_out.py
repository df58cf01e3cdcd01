from dataclasses import replace

import pytest
from judging import failed, judged, of
from made_evidence import COLD, evidence, scale_out

from lmcache_kserve.evidence import ScaleOut, Unreadable
from lmcache_kserve.verdict import not_applicable


def test_how_much_longer_a_new_replica_takes_is_told_with_and_without_the_cache() -> None:
    result = judged(evidence())["scale-out"]

    assert result.evidence["shared_ratio"] == pytest.approx(1.25)
    assert result.evidence["alone_ratio"] == pytest.approx(10)
    assert "first 20 requests have a token within 0.53 s, 1.2 times as long" in result.summary


def test_one_request_without_a_hit_fails_and_is_named() -> None:
    seen = of(evidence().scale_out, ScaleOut)
    first = replace(seen.shared[0], log=COLD)
    faults = failed(replace(evidence(), scale_out=replace(seen, shared=(first, *seen.shared[1:]))))

    assert set(faults) == {"scale-out"}
    assert faults["scale-out"].startswith("Request 1 of the new replica")


def test_a_new_replica_that_is_slower_than_allowed_fails() -> None:
    assert not failed(replace(evidence(), scale_out=scale_out(shared_s=0.59)))
    faults = failed(replace(evidence(), scale_out=scale_out(shared_s=0.61)))

    assert set(faults) == {"scale-out"}
    assert "1.5 times the 0.42 s of the old replica" in faults["scale-out"]


def test_a_cache_that_gains_nothing_fails() -> None:
    faults = failed(replace(evidence(), scale_out=scale_out(shared_s=0.45, alone_s=0.45)))

    assert "prompts that nobody computed" in faults["scale-out"]


def test_what_could_not_be_measured_fails_with_the_reason() -> None:
    faults = failed(replace(evidence(), scale_out=Unreadable("the pod did not start")))

    assert "the pod did not start" in faults["scale-out"]


def test_nobody_who_did_not_ask_is_judged() -> None:
    seen = replace(evidence(), scale_out=None, wanted_scale_out=False)

    assert not_applicable(seen)["scale-out"] == "--scale-out was not given"
