"""`lmcache-kserve compare`: what it measures, and what it refuses before anything starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcache_kserve.cli import app
from lmcache_kserve.commands import compare_arms, compare_rates
from lmcache_kserve.commands.compare_rates import Options
from lmcache_kserve.commands.ways import BACKENDS, MODES, Way, with_clients
from lmcache_kserve.errors import HarnessError


def test_without_names_every_backend_is_measured_in_every_mode_that_has_a_client() -> None:
    ways = list(with_clients((), MODES))
    assert {way.backend for way in ways} == set(BACKENDS)
    assert Way("redis", "multiprocess", "") in ways
    assert Way("redis", "multiprocess", "direct") in ways
    assert Way("filesystem", "multiprocess", "direct") not in ways
    assert Way("redis", "in-process", "redis-py") in ways
    assert Way("redis", "in-process", "direct") in ways
    assert Way("mooncake", "in-process", "") in ways
    assert "multiprocess" not in {way.mode for way in ways if way.backend == "mooncake"}


def test_a_cache_is_large_enough_for_a_cell_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, ...]] = []

    @contextmanager
    def prepared(*_: object, settings: tuple[str, ...], **__: object) -> Iterator[None]:
        given.append(settings)
        yield

    monkeypatch.setattr(compare_rates, "prepared", prepared)
    monkeypatch.setattr(compare_rates, "ensure_engine", lambda *_: pytest.exit("far enough"))
    small = "remoteBackend.redis.maxmemory=16Mi"
    words = ["--backend-only", "--backend", "redis", "--mode", "in-process", "--set", small, "--out", str(tmp_path)]
    with pytest.raises(pytest.exit.Exception):
        CliRunner().invoke(app, ["compare", *words], catch_exceptions=False)
    room = "remoteBackend.redis.maxmemory=3Gi"
    assert all(settings.index(room) < settings.index(small) for settings in given)
    assert given


def test_a_way_is_selected_below_the_values_of_its_backend() -> None:
    settings = Way("redis-sentinel", "in-process", "direct").settings
    assert "remoteBackend.redisSentinel.client=direct" in settings
    assert "remoteBackend.type=redis-sentinel" in settings


@pytest.mark.parametrize(
    ("backends", "modes", "says"),
    [
        pytest.param(["none"], MODES, "--backend=none: choose among redis, ", id="backend"),
        pytest.param([], ["both"], "--mode=both: choose among in-process, ", id="mode"),
        pytest.param(["mooncake"], ["multiprocess"], "no client for --backend=mooncake", id="pair"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_the_option_that_asks_for_it(
    backends: list[str], modes: list[str], says: str
) -> None:
    with pytest.raises(HarnessError, match=says):
        list(with_clients(backends, modes))


@pytest.mark.parametrize("size", [0, -2, 0.1])
def test_a_size_that_no_chunk_has_is_refused(size: float, tmp_path: Path) -> None:
    options = Options(
        backends=(),
        modes=MODES,
        values_files=(),
        settings=(),
        engine=None,
        out=tmp_path,
        command=(),
        chunk_mib=(size,),
    )
    with pytest.raises(HarnessError, match=f"--chunk-mib={size:g}: give a multiple of 0.125"):
        _ = options.plan


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--backend-only", "--set", "lmcache.chunkSize=x"], "lmcache.chunkSize", id="a wrong value"),
        pytest.param(["--chunk-mib", "2"], "--chunk-mib is about chunks without an engine", id="a size of chunks"),
        pytest.param(["--in-flight", "4"], "--in-flight is about chunks without an engine", id="chunks in flight"),
        pytest.param(["--backend-only", "--rounds", "3"], "--rounds needs an engine", id="rounds without an engine"),
        pytest.param(
            ["--backend-only", "--workload", "x"], "--workload needs an engine", id="a load without an engine"
        ),
        pytest.param(["--backend-only", "--backend", "none"], "--backend=none: choose among redis", id="no backend"),
        pytest.param(["--backend", "s3"], "--backend=s3: choose among none, redis", id="backend"),
        pytest.param(["--mode", "both"], "--mode=both: choose among in-process", id="mode"),
        pytest.param(["--workload", "chat"], "--workload=chat: choose among long-doc-qa", id="workload"),
        pytest.param(["--pressure", "high"], "--pressure=high: choose among above, below", id="pressure"),
        pytest.param(["--prompt-tokens", "5000"], "--prompt-tokens=5000: half of", id="a prompt that does not fit"),
        pytest.param(["--engine-cache-tokens", "8000"], "give a multiple of 128", id="no whole block"),
        pytest.param(
            ["--pressure", "below", "--workload", "long-doc-permutator"], "--pressure=below", id="no load is left"
        ),
        pytest.param(["--backend", "redis", "--set", "lmcache.chunkSize=x"], "lmcache.chunkSize", id="a wrong arm"),
        pytest.param(
            ["--backend", "none", "--set", "model.extraArgs={--dtype=float32}"],
            "--engine-cache-tokens=8192 does not fit",
            id="another cache of the engine",
        ),
    ],
)
def test_nothing_starts_before_the_options_are_right(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (compare_rates, compare_arms):
        monkeypatch.setattr(module, "ensure_engine", lambda *_: pytest.fail("an engine was asked for"))
    result = CliRunner().invoke(app, ["compare", *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out").exists()
