"""Fixtures that run the script of `helm test` against a release in this process."""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from fake_replicas import CHUNK, Cluster, Outcome, Release, Run
from rendering import CHART

FOLDER = CHART / "files" / "prove_reuse"


def loaded(name: str) -> ModuleType:
    """A module of the script; Python finds the modules beside it, as it does in the pod."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        return importlib.import_module(name)


@pytest.fixture(scope="session")
def script() -> ModuleType:
    return loaded("prove_reuse")


@pytest.fixture(scope="session")
def replica() -> ModuleType:
    return loaded("replica")


@pytest.fixture(scope="session")
def measurement() -> ModuleType:
    return loaded("measurement")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(Release())
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def run(script: ModuleType, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*further: str, key: str = "", **options: Any) -> Outcome:
        settings = {
            "pods": "llm-pods.models.svc:8080",
            "service": "models/llm",
            "replicas": 2,
            "model": "tiny",
            "model-path": "/v1/models",
            "openai-path": "/v1",
            "reuse": "shared",
            "backend": "redis",
            "endpoint": "llm-redis.models.svc:6379",
            "chunk-size": CHUNK,
            "chunks": 8,
            "pairs": 2,
            "timeout": 270,
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        environment = {"VLLM_API_KEY": key} if key else {}
        code = script.main([*arguments, *further], environment, resolve=cluster.resolve, clock=cluster.clock)
        return Outcome(code, capsys.readouterr().out.splitlines())

    return run
