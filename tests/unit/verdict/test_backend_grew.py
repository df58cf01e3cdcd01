from dataclasses import replace

from judging import failed, of
from made_evidence import evidence

from lmcache_kserve.evidence import BackendGrowth, Evidence
from lmcache_kserve.target import Contents


def grown(entries: int | None, size: int) -> Evidence:
    good = evidence()
    growth = of(good.growth, BackendGrowth)
    before = growth.before if entries is not None else replace(growth.before, entries=None)
    return replace(good, growth=replace(growth, before=before, after=Contents(entries, size, 2)))


def test_a_backend_that_lost_chunks_fails_and_names_eviction() -> None:
    assert "evicting" in failed(grown(10 + 263, 9_000_000))["backend-grew"]


def test_a_backend_that_cannot_count_its_entries_is_judged_by_its_size() -> None:
    assert failed(grown(None, 9_000_000)) == {}
    assert set(failed(grown(None, 1_000))) == {"backend-grew"}


def test_every_worker_of_a_replica_stores_its_part() -> None:
    good = evidence()
    seen = replace(good, growth=replace(of(good.growth, BackendGrowth), workers=2))

    assert "make 528 entries" in failed(seen)["backend-grew"]
