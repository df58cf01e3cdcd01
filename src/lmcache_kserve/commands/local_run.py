"""What every run of a release on this machine begins and ends with: its folder, start, logs, and others' leftovers."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.concurrency import first_failure
from lmcache_kserve.local.process import (
    end_leftovers,
    is_running,
    make_temporary_folder,
    owner,
    runs_folder,
    temporary_folder,
    temporary_folders,
)
from lmcache_kserve.local.small_folder import unmount_below
from lmcache_kserve.local.target import LocalTarget


def start(targets: Sequence[LocalTarget], stages: Stages) -> None:
    """Start all targets side by side.

    Raises:
        HarnessError: one of them did not become ready.
    """
    total = sum(target.pod_count for target in targets)
    ready: list[str] = []

    def progress(pod: str) -> None:
        ready.append(pod)
        stages.update("start", len(ready), total, f"{pod} is ready")

    stages.update("start", 0, total, "engines load the model")
    with ThreadPoolExecutor(max_workers=len(targets)) as pool:
        futures = [pool.submit(target.start, ready=progress) for target in targets]
        first_failure(futures, then=lambda: _stop(targets))


def _stop(targets: Sequence[LocalTarget]) -> None:
    for target in targets:
        target.stop()


def keep_logs(targets: Sequence[LocalTarget], out: Path) -> None:
    """Copy the log of every container to `out`/logs, in place of an earlier run's."""
    for target in targets:
        folder = out / "logs" / target.directory.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in target.log_files:
            shutil.copy(file, folder)


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for this run alone, named after its harness; removed at the end."""
    folder = runs_folder() / owner()
    folder.mkdir(parents=True)
    make_temporary_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(temporary_folder(), ignore_errors=True)


def clean_up_after_others(console: Console) -> None:
    """End the processes and remove the folders of harnesses that were killed before they could."""
    if count := end_leftovers():
        console.print(f"ended {count} processes of a run whose harness was killed")
    folders = [(folder.name, folder) for folder in runs_folder().glob("*")]
    for mark, folder in [*folders, *temporary_folders()]:
        if not is_running(mark):
            unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)
