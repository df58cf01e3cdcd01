"""A release as processes of this machine, with the real engine, for tests that send their own requests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands.local_run import run_folder
from lmcache_kserve.engine.find import ensure_engine, make_test_model
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.progress import untold


@contextmanager
def running(
    *settings: str, chart: Path | None = None, secrets: Mapping[str, Mapping[str, str]] | None = None
) -> Iterator[LocalTarget]:
    """Two replicas and a Redis, from this repository's chart or another copy of it, with Secrets of the user."""
    engine = ensure_engine(untold)
    model = make_test_model(engine, untold)
    renderer = Renderer.for_demo(chart=chart, values_files=[], settings=("remoteBackend.type=redis", *settings))
    with (
        run_folder() as folder,
        LocalTarget(
            manifests=renderer.release(f"model.id={model}"),
            namespace=NAMESPACE,
            directory=folder,
            engine=engine,
            chart_versions=renderer.versions(),
            given_secrets=secrets or {},
        ) as target,
    ):
        target.start()
        yield target
