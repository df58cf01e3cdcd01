"""One arm under load: which rounds there are, and what the counters of a release grew by."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fake_release import FakeClock
from made_comparison import cell, request

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import DOCUMENTS, Use
from lmcache_kserve.experiment import arms
from lmcache_kserve.experiment.arms import Loaded, Loader, read_counts, settled

GROWTH = 100


class FakeTarget:
    """A release whose counters grow with each load, and a moment later than its answers."""

    def __init__(self, mode: str = "in-process") -> None:
        self.mode = mode
        self.model_name = "tiny"
        self.loads = 0
        self.reads = 0
        self.late = 0
        self.backend: Any = None
        self.replicas = [
            SimpleNamespace(openai_url="http://127.0.0.1:1/v1", arguments=(), environment={}, metrics=self._page)
        ]

    def _page(self) -> str:
        self.reads += 1
        grown = GROWTH * self.loads - (10 if self.late else 0)
        self.late = max(0, self.late - 1)
        return (
            f"# TYPE vllm:prompt_tokens counter\nvllm:prompt_tokens_total {grown}\n"
            f'# TYPE vllm:prefix_cache_hits counter\nvllm:prefix_cache_hits_total{{pid="1"}} {grown / 4}\n'
            f"# TYPE vllm:external_prefix_cache_hits counter\nvllm:external_prefix_cache_hits_total {grown / 2}\n"
        )

    def server_metrics(self) -> str | None:
        return (
            None
            if self.mode != "multiprocess"
            else "# TYPE lmcache_mp_lookup_hit_l2_tokens counter\n"
            + (f"lmcache_mp_lookup_hit_l2_tokens_total {7 * self.loads}\n" if self.loads else "")
        )

    @contextmanager
    def meter(self) -> Iterator[Any]:
        yield SimpleNamespace(use={"engine": Use(cpu_s=1.0, peak_bytes=2)})


class FakeTool:
    def __init__(self, target: FakeTarget, folder: Path, error: str = "") -> None:
        self.target = target
        self.directory = folder
        self.error = error
        self.seeds: list[tuple[int, int]] = []

    def run(self, *_: object, seed: int, words: int, **__: object) -> Any:
        self.seeds.append((seed, words))
        self.target.loads += 1
        self.target.late = 2
        one = request(0, 0.5)
        return (one, type(one)(**{name: getattr(one, name) for name in one.__slots__} | {"error": self.error}))


def measure(target: FakeTarget, folder: Path, *, error: str = "", filled: bool = True, **changes: Any) -> Any:
    tool = FakeTool(target, folder, error)
    loader = Loader(tool=cast("Any", tool), seed=42, clock=FakeClock())
    return loader.measure(cast("Loaded", target), cell(**changes), [1, 2], filled=filled), tool


def test_a_round_that_fills_the_caches_comes_first(tmp_path: Path) -> None:
    found, tool = measure(FakeTarget(), tmp_path)
    assert [one.number for one in found.rounds] == [0, 1, 2]
    assert [one.number for one in found.measured] == [1, 2]
    assert {seed for seed, _ in tool.seeds} == {42}


def test_without_a_cache_nothing_is_filled(tmp_path: Path) -> None:
    found, _ = measure(FakeTarget("none"), tmp_path, filled=False)
    assert [one.number for one in found.rounds] == [1, 2]


def test_shuffled_documents_are_drawn_anew_and_sized_in_the_models_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arms, "tokens_per_word", lambda *_: 2.5)
    found, tool = measure(FakeTarget(), tmp_path, workload=DOCUMENTS)
    assert [one.number for one in found.rounds] == [1, 2]
    assert tool.seeds == [(43, 102), (44, 102)]
    assert (tmp_path / "tiny" / "tokenizer.json").exists()


def test_a_round_counts_its_own_growth_though_counters_come_late(tmp_path: Path) -> None:
    found, _ = measure(FakeTarget(), tmp_path)
    for one in found.rounds:
        assert (one.counts.prompt_tokens, one.counts.own_tokens, one.counts.external_tokens) == (100, 25, 50)
        assert one.use["engine"].cpu_s == 1.0


def test_a_series_of_the_server_that_appears_with_its_first_use_grew_from_nothing(tmp_path: Path) -> None:
    found, _ = measure(FakeTarget("multiprocess"), tmp_path)
    assert [one.counts.l2_tokens for one in found.rounds] == [7, 7, 7]
    assert [one.counts.l1_tokens for one in found.rounds] == [None, None, None]


def test_a_failed_request_ends_the_measurement_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"long-doc-qa-1024-1-above: request doc0_q0 was not answered: too long"):
        measure(FakeTarget(), tmp_path, error="too long")


def test_an_engine_that_counts_no_prompts_is_an_error() -> None:
    target = FakeTarget()
    target.replicas[0].metrics = lambda: ""
    with pytest.raises(HarnessError, match="has no vllm:prompt_tokens_total"):
        read_counts(cast("Loaded", target))


def test_an_engine_without_lmcache_has_no_late_counters() -> None:
    target = FakeTarget("none")
    settled(cast("Loaded", target), FakeClock())
    assert target.reads == 1


def test_counters_that_never_stand_still_are_read_as_they_are() -> None:
    target = FakeTarget()
    target.loads, target.late = 1, 10**6
    clock = FakeClock()
    assert settled(cast("Loaded", target), clock).prompt_tokens == 90
