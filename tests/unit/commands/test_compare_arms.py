"""`lmcache-kserve compare` with engines: its arms, and that no stale or partial result looks like a whole one."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Self

import pytest
from made_comparison import answers, comparison, measured
from rich.console import Console

from lmcache_kserve.commands import compare_arms
from lmcache_kserve.commands.compare_arms import Options, arm_plans, both, token_bytes, write, write_partial
from lmcache_kserve.commands.compare_loads import Loads
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import LONG_DOCUMENT, NO_CACHE, PREFIX_CACHE, Answers
from lmcache_kserve.experiment.arms import Asker, Loader
from lmcache_kserve.experiment.load import LoadTool

TINY = {
    "model_type": "llama",
    "hidden_size": 384,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "num_hidden_layers": 8,
    "vocab_size": 8192,
    "intermediate_size": 1152,
    "dtype": "bfloat16",
}


def test_the_arms_are_none_the_engines_own_memory_and_every_backend_in_each_mode() -> None:
    plans = arm_plans((), ())
    assert [plan.name for plan in plans[:4]] == [NO_CACHE, PREFIX_CACHE, "memory, in-process", "memory, multiprocess"]
    names = {plan.name for plan in plans}
    assert {"redis, in-process", "redis, multiprocess", "filesystem, multiprocess", "mooncake, in-process"} <= names
    assert "mooncake, multiprocess" not in names


def test_only_the_first_arm_keeps_nothing() -> None:
    first, *others = arm_plans((), ())
    assert first.settings[-1] == "runtime.prefixCaching=false"
    assert all("runtime.prefixCaching=true" in plan.settings for plan in others)
    assert all("predictor.replicas=1" in plan.settings for plan in (first, *others))


def test_each_hit_of_a_backend_comes_from_the_backend() -> None:
    plans = {plan.name: plan.settings for plan in arm_plans((), ())}
    assert "lmcache.localCpu.enabled=false" in plans["redis, in-process"]
    assert "lmcache.localCpu.enabled=false" not in plans["memory, in-process"]


def test_named_arms_alone_are_measured_beside_those_without_lmcache() -> None:
    assert [plan.name for plan in arm_plans(("valkey",), ("multiprocess",))] == [
        NO_CACHE,
        PREFIX_CACHE,
        "valkey, multiprocess",
    ]
    with pytest.raises(HarnessError, match="no client for --backend=mooncake in --mode=multiprocess"):
        arm_plans(("mooncake",), ("multiprocess",))


def test_the_size_of_a_token_follows_the_data_type_that_the_engine_was_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY), encoding="utf-8")
    assert token_bytes(str(tmp_path), ["vllm", "--dtype=float32"]) == 2 * 8 * 2 * 64 * 4
    assert token_bytes(str(tmp_path), ["vllm"]) == 2 * 8 * 2 * 64 * 2


def test_both_times_of_an_arm_count() -> None:
    arm = comparison().arms[0]
    again = replace(arm, measured=tuple(measured(one.cell, (3.0, 4.0)) for one in arm.measured))
    assert [len(one.rounds) for one in both(arm, again).measured] == [6, 6]


def test_a_partial_result_has_another_name_and_says_that_it_is_partial(tmp_path: Path) -> None:
    seen = comparison()
    write_partial(replace(seen, arms=seen.arms[:2]), tmp_path, command="c")
    assert [file.name for file in tmp_path.iterdir()] == ["compare.partial.json"]
    assert json.loads((tmp_path / "compare.partial.json").read_text())["complete"] is False
    write(seen, tmp_path, command="c")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "compare-break-even.svg",
        "compare-load.svg",
        "compare.json",
        "performance.md",
        "traces",
    ]


class FakeTarget:
    """A release that starts, or does not."""

    broken: tuple[str, ...] = ()
    running: int = 0
    most: int = 0

    impossible: tuple[str, ...] = ()

    def __init__(self, *, directory: Path, **_: object) -> None:
        if any(name in directory.name for name in self.impossible):
            raise HarnessError("redis-server is not on PATH")
        self.directory = directory
        self.log_files: Sequence[Path] = ()
        self.pod_count = 1
        self.versions = {"vllm": "0.32.0"}
        self.secrets = ["hunter2"]

    def __enter__(self) -> Self:
        FakeTarget.running += 1
        FakeTarget.most = max(FakeTarget.most, FakeTarget.running)
        return self

    def __exit__(self, *_: object) -> None:
        FakeTarget.running -= 1

    def start(self, **_: object) -> None:
        if any(name in self.directory.name for name in self.broken):
            raise HarnessError("it ended: password hunter2")

    def stop(self) -> None:
        """Nothing runs."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Options:
    """A comparison of two arms with LMCache, in which nothing is real but the command."""
    (tmp_path / "config.json").write_text(json.dumps(TINY), encoding="utf-8")

    @contextmanager
    def prepared(*_: object, **__: object) -> Iterator[Any]:
        yield SimpleNamespace(release=lambda *_: None, versions=lambda: {"chart": "0.2.0"})

    def measure(_: object, __: object, cell: Any, rounds: Sequence[int], *, filled: bool) -> Any:
        one = measured(cell, [0.5] * len(rounds))
        kept = one.rounds if filled else one.rounds[1:]
        first = min(rounds)
        return replace(
            one, rounds=tuple(replace(each, number=each.number and each.number + first - 1) for each in kept)
        )

    monkeypatch.setattr(compare_arms, "prepared", prepared)
    monkeypatch.setattr(compare_arms, "check_engine_cache", lambda *_: None)
    monkeypatch.setattr(compare_arms, "_arguments", lambda _: ["vllm", "--dtype=float32"])
    engine = SimpleNamespace(bin_dir=tmp_path, versions=MappingProxyType({}))
    monkeypatch.setattr(compare_arms, "ensure_engine", lambda *_: engine)
    monkeypatch.setattr(compare_arms, "LocalTarget", FakeTarget)
    monkeypatch.setattr(LoadTool, "check", lambda _: None)
    monkeypatch.setattr(Loader, "measure", measure)
    monkeypatch.setattr(Asker, "ask", lambda *_: ("a", "b"))
    monkeypatch.setattr(Asker, "compare", lambda *_, **__: answers())
    monkeypatch.setattr(FakeTarget, "broken", ())
    monkeypatch.setattr(FakeTarget, "impossible", ())
    return Options(
        loads=Loads(workloads=(LONG_DOCUMENT,), prompt_tokens=(512,), concurrency=(1,)),
        rounds=2,
        backends=("none", "redis"),
        modes=("in-process",),
        model=str(tmp_path),
        against=None,
        values_files=(),
        settings=(),
        engine=None,
        out=tmp_path / "out",
        command=("lmcache-kserve", "compare"),
    )


def report(options: Options) -> Any:
    return json.loads((options.out / "compare.json").read_text(encoding="utf-8"))


def test_all_arms_are_measured_beside_the_engine_without_a_cache(fake: Options) -> None:
    FakeTarget.most = 0
    assert compare_arms.run(fake, console=Console(quiet=True))
    assert FakeTarget.most == 2
    assert FakeTarget.running == 0
    written = report(fake)
    assert written["complete"]
    assert [arm["name"] for arm in written["arms"]] == written["planned"]
    first = written["arms"][0]["measured"][0]["rounds"]
    assert [one["number"] for one in first] == [1, 2]
    assert not (fake.out / "compare.partial.json").exists()


def test_an_arm_that_fails_leaves_the_others_and_the_page_says_so(
    fake: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTarget, "broken", ("memory",))
    assert not compare_arms.run(fake, console=Console(quiet=True))
    written = report(fake)
    assert not written["complete"]
    assert written["problems"] == {"memory, in-process": "it ended: password ***"}
    assert written["arms"][3]["measured"]
    assert "**This comparison is not complete.**" in (fake.out / "performance.md").read_text(encoding="utf-8")


def test_results_of_an_earlier_run_are_gone_before_anything_is_measured(
    fake: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.out.mkdir()
    stale = ("compare.json", "compare.partial.json", "performance.md", "compare-load.svg", "compare-break-even.svg")
    for name in stale:
        (fake.out / name).write_text("stale", encoding="utf-8")
    monkeypatch.setattr(FakeTarget, "broken", ("no-cache",))
    with pytest.raises(HarnessError, match="it ended"):
        compare_arms.run(fake, console=Console(quiet=True))
    assert not any((fake.out / name).exists() for name in stale)
    assert FakeTarget.running == 0


def test_an_interrupted_run_leaves_what_is_known_under_the_name_of_a_partial_one(
    fake: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def interrupted(_: object, target: object, *__: object, **___: object) -> Answers:
        asked.append(target)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return answers()

    monkeypatch.setattr(Asker, "compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare_arms.run(fake, console=Console(quiet=True))
    assert not (fake.out / "compare.json").exists()
    left = json.loads((fake.out / "compare.partial.json").read_text(encoding="utf-8"))
    assert (left["complete"], [arm["name"] for arm in left["arms"]]) == (False, [NO_CACHE, PREFIX_CACHE])
    assert FakeTarget.running == 0


def test_a_run_says_how_far_it_agrees_with_an_earlier_one(fake: Options, tmp_path: Path) -> None:
    compare_arms.run(fake, console=Console(quiet=True))
    earlier = tmp_path / "earlier.json"
    earlier.write_text((fake.out / "compare.json").read_text(encoding="utf-8"), encoding="utf-8")
    said = Console(record=True, quiet=False, file=StringIO(), width=200)
    compare_arms.run(replace(fake, against=earlier), console=said)
    assert "8 of 8 loads lie within the intervals of the earlier run" in said.export_text()


def test_an_earlier_run_that_did_not_end_is_refused_before_anything_starts(fake: Options, tmp_path: Path) -> None:
    write_partial(replace(comparison(), arms=()), tmp_path, command="c")
    with pytest.raises(HarnessError, match=r"--against .* is a comparison that did not end"):
        compare_arms.run(replace(fake, against=tmp_path / "compare.partial.json"), console=Console(quiet=True))
    assert not fake.out.exists()


def test_an_arm_that_this_machine_cannot_run_is_refused_before_any_engine_starts(
    fake: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTarget, "impossible", ("redis",))
    monkeypatch.setattr(FakeTarget, "start", lambda *_, **__: pytest.fail("an engine was started"))
    with pytest.raises(HarnessError, match="redis-server is not on PATH") as caught:
        compare_arms.run(fake, console=Console(quiet=True))
    assert "'redis, in-process' needs this. Name the --backend" in caught.value.__notes__[0]
