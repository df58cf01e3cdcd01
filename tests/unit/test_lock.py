import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from lmcache_kserve.lock import Exclusive


def test_a_free_folder_is_locked_without_waiting_again_and_again(tmp_path: Path) -> None:
    waited: list[str] = []

    for _ in range(2):
        with Exclusive(tmp_path / "cache" / "folder", waiting=lambda: waited.append("once")):
            assert (tmp_path / "cache" / "folder.lock").exists()

    assert waited == []


def test_a_program_that_inherited_the_lock_holds_it_until_its_end(tmp_path: Path) -> None:
    with Exclusive(tmp_path / "folder", waiting=lambda: None) as lock:
        outliving = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,))
    waited: list[int | None] = []

    def end_it() -> None:
        waited.append(outliving.poll())
        outliving.communicate()

    with Exclusive(tmp_path / "folder", waiting=end_it):
        assert waited == [None]


def test_threads_of_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    waits, entered = Event(), Event()

    def make() -> None:
        with Exclusive(tmp_path / "folder", waiting=waits.set):
            entered.set()

    with ThreadPoolExecutor(max_workers=1) as threads:
        with Exclusive(tmp_path / "folder"):
            second = threads.submit(make)
            assert waits.wait(5)
            assert not entered.wait(0.1)
        second.result(5)
    assert entered.is_set()
