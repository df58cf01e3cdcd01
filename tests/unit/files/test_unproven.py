"""Where the chart's connectors keep LMCache away, and what an engine without LMCache does. vLLM is stood in for."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from fake_vllm import Role, connector_script, kv_cache_config, vllm_config
from rendering import CHART

from lmcache_kserve.lmcache.logs import refusal

ROWS: list[dict[str, str]] = yaml.safe_load((CHART / "files" / "unproven.yaml").read_text(encoding="utf-8"))["unproven"]

CONDITIONS = {"mode", "layout", "layers", "exceptDevice", "fixedIn"}

PACKED = {"layer.0": SimpleNamespace(ndim=4)}
SPLIT = {"layer.0": SimpleNamespace(ndim=5)}
LATENT = {"layer.0": SimpleNamespace(ndim=3)}
RECURRENT = {"layer.0": [SimpleNamespace(ndim=3), SimpleNamespace(ndim=4)]}

FullAttentionSpec = type("FullAttentionSpec", (), {})
SlidingWindowSpec = type("SlidingWindowSpec", (), {})
MambaSpec = type("MambaSpec", (), {})
LaterMambaSpec = type("LaterMambaSpec", (MambaSpec,), {})

ATTENTION = kv_cache_config(FullAttentionSpec())
WINDOWS = kv_cache_config(FullAttentionSpec(), SlidingWindowSpec())
HYBRID = kv_cache_config(FullAttentionSpec(), MambaSpec())
UNEVEN = kv_cache_config(SimpleNamespace(kv_cache_specs={"a": FullAttentionSpec(), "b": LaterMambaSpec()}))


class Engine:
    """The scheduler's connector and a worker's. As in vLLM, the worker registers, and then they shake hands."""

    def __init__(  # noqa: PLR0913 (what an engine can differ in, all by keyword)
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        mode: str = "in-process",
        device: str = "cuda",
        caches: dict[str, Any] = PACKED,
        groups: Any = ATTENTION,
        stages: bool = False,
        **config: Any,
    ) -> None:
        name = {"in-process": "checked_connector", "multiprocess": "checked_mp_connector"}[mode]
        script = connector_script(name, monkeypatch, device=device)
        kind = script.CheckedLMCacheConnector if mode == "in-process" else script.CheckedLMCacheMPConnector
        self.logged: list[str] = sys.modules["unproven"].logged
        self.worker = kind(vllm_config(**config), Role.WORKER, groups)
        self.worker.register_kv_caches(caches)
        self.scheduler = kind(vllm_config(**config), Role.SCHEDULER, groups)
        if (told := self.worker.get_handshake_metadata()) is not None:
            if stages:
                self.scheduler.set_xfer_handshake_metadata_pp_aware({(1, 0): told})
            else:
                self.scheduler.set_xfer_handshake_metadata({0: told})

    def step(self) -> tuple[int, bool]:
        """A request's first step; what the scheduler found for it."""
        found: tuple[int, bool] = self.scheduler.get_num_new_matched_tokens(None, 0)
        self.worker.bind_connector_metadata(self.scheduler.build_connector_meta(None))
        self.worker.start_load_kv(None)
        return found

    @property
    def refused(self) -> bool:
        refusals = [bool(self.scheduler.refusal), bool(self.worker.refusal)]
        assert len(set(refusals)) == 1
        return refusals[0]


def test_each_row_has_a_reason_a_thread_and_known_conditions() -> None:
    for row in ROWS:
        assert row["reason"]
        assert row["thread"].startswith("https://github.com/")
        assert set(row) - {"reason", "thread"} <= CONDITIONS
        assert set(row) & CONDITIONS


def test_keys_and_values_in_one_tensor_on_a_gpu_are_refused_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch)
    assert engine.refused
    assert "https://github.com/LMCache/LMCache/issues/4463" in engine.logged[0]


def test_they_are_refused_before_lmcache_sees_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Engine(monkeypatch).worker.used == ["made"]


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param({"caches": SPLIT}, id="keys and values apart"),
        pytest.param({"caches": LATENT}, id="multi-head latent attention"),
        pytest.param({"device": "cpu"}, id="on a CPU, whose connector knows the layout"),
        pytest.param({"mode": "multiprocess"}, id="in a server, which knows the layout"),
        pytest.param({"mode": "multiprocess", "groups": WINDOWS}, id="sliding windows in a server"),
        pytest.param({"mode": "multiprocess", "speculation": "ngram"}, id="tokens proposed without layers"),
    ],
)
def test_what_is_not_listed_uses_lmcache(monkeypatch: pytest.MonkeyPatch, engine: dict[str, Any]) -> None:
    running = Engine(monkeypatch, **engine)
    assert not running.refused
    assert running.logged == []
    assert "registered" in running.worker.used


@pytest.mark.parametrize("groups", [HYBRID, UNEVEN], ids=["a group of their own", "a group of uneven layers"])
def test_recurrent_layers_are_refused_in_a_server_before_lmcache_is_made(
    monkeypatch: pytest.MonkeyPatch, groups: Any
) -> None:
    engine = Engine(monkeypatch, mode="multiprocess", groups=groups, caches=RECURRENT)
    assert engine.refused
    assert "https://github.com/LMCache/LMCache/issues/4247" in engine.logged[0]
    assert not hasattr(engine.worker, "used")


@pytest.mark.parametrize("mode", ["in-process", "multiprocess"])
@pytest.mark.parametrize("method", ["mtp", "eagle3", "draft_model", "a method of tomorrow"])
def test_layers_of_a_draft_model_are_refused(monkeypatch: pytest.MonkeyPatch, mode: str, method: str) -> None:
    engine = Engine(monkeypatch, mode=mode, device="cpu", speculation=method)
    assert engine.refused
    assert "https://github.com/LMCache/LMCache/issues/4345" in engine.logged[0]


def test_a_refused_engine_finds_loads_and_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch)
    assert engine.step() == (0, False)
    assert engine.worker.get_finished({"a"}) == (None, None)
    assert engine.worker.prefer_cross_layer_blocks is False
    assert engine.scheduler.request_finished_all_groups(None, ()) == (False, None)
    assert (engine.scheduler.used, engine.worker.used) == (["made"], ["made"])


def test_an_engine_that_is_not_refused_does_what_lmcache_does(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, mode="multiprocess")
    assert engine.step() == (256, False)
    assert engine.worker.get_finished({"a"}) == ({"a"}, None)
    assert engine.worker.prefer_cross_layer_blocks is True
    assert engine.scheduler.request_finished_all_groups(None, ()) == (True, None)
    assert engine.worker.used == ["made", "registered", "pings", "loaded"]


def test_the_scheduler_hears_of_a_refusal_in_any_stage_of_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Engine(monkeypatch, stages=True).refused


def test_one_worker_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, caches=SPLIT)
    verdict = sys.modules["unproven"].Verdict("its tensors")
    engine.scheduler.set_xfer_handshake_metadata({0: object(), 1: verdict})
    assert engine.scheduler.refusal == "its tensors"


def test_a_worker_whose_scheduler_did_not_hear_answers_nothing_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch)
    deaf = type(engine.scheduler)(vllm_config(), Role.SCHEDULER, ATTENTION)
    engine.worker.bind_connector_metadata(deaf.build_connector_meta(None))
    with pytest.raises(RuntimeError, match=r"lmcache\.enabled"):
        engine.worker.start_load_kv(None)


@pytest.mark.parametrize(
    "engine",
    [{}, {"mode": "multiprocess", "groups": HYBRID}, {"speculation": "mtp", "caches": SPLIT}],
    ids=["packed", "recurrent", "draft"],
)
def test_the_user_can_override_every_row(monkeypatch: pytest.MonkeyPatch, engine: dict[str, Any]) -> None:
    override: dict[str, Any] = {"lmcache-kserve.allow_unproven": True}
    assert not Engine(monkeypatch, **engine, **override).refused
    assert Engine(monkeypatch, **engine).refused


def test_an_engine_says_once_why_and_which_value_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch)
    engine.step()
    (line,) = engine.logged
    assert "lmcache.allowUnproven" in line
    for release in ("LMCache 0.5.6", "vLLM 0.32.0", "cuda", "in-process"):
        assert release in line


def test_the_harness_reads_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, mode="multiprocess", groups=HYBRID)
    (line,) = engine.logged
    assert refusal(f"(EngineCore pid=7) ERROR 11-29 06:00:00 [unproven.py:1] {line}") == engine.scheduler.refusal


@pytest.mark.parametrize(("fixed", "refused"), [("0.5.7", True), ("0.5.6", False), ("0.5.10", True), ("0.4.9", False)])
def test_a_row_ends_with_the_release_that_is_fixed(
    monkeypatch: pytest.MonkeyPatch, fixed: str, *, refused: bool
) -> None:
    unproven = connector_script("unproven", monkeypatch)
    engine = unproven.Engine(mode="in-process", device="cuda", vllm="0.32.0", lmcache="0.5.6", layout="packed")
    row = {"reason": "a", "thread": "b", "layout": "packed", "fixedIn": fixed}
    assert bool(engine.refusal([row])) is refused


def test_a_build_before_the_fixed_release_does_not_count_as_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    unproven = connector_script("unproven", monkeypatch)
    engine = unproven.Engine(mode="in-process", device="cuda", vllm="0.32.0", lmcache="0.5.7.dev3")
    assert engine.refusal([{"reason": "a", "thread": "b", "fixedIn": "0.5.7"}])
