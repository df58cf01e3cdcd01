"""What a release takes of this machine, seen from outside."""

from pathlib import Path
from typing import Any

from small_pod import container, plan

from lmcache_kserve.local.pod import LocalPod
from lmcache_kserve.local.watch import watch


def seen(pod: LocalPod, folder: Path) -> Any:
    return watch([pod], folder, [pod.log.path])


def test_a_container_has_a_new_life_when_it_starts_again_and_none_in_between(started: Any, tmp_path: Path) -> None:
    pod = started(plan(container()))
    (first,) = seen(pod, tmp_path).containers
    assert (first.name, first.of_backend) == ("web-0/main", False)
    assert first.usage.resident_bytes > 2**20
    assert seen(pod, tmp_path).containers[0].life == first.life
    pod.kill()
    assert seen(pod, tmp_path).containers == ()
    pod.start()
    (second,) = seen(pod, tmp_path).containers
    assert second.name == first.name
    assert second.life != first.life


def test_every_file_below_the_folder_counts_and_every_byte_of_the_logs(started: Any, tmp_path: Path) -> None:
    pod = started(plan(container()))
    before = seen(pod, tmp_path)
    (tmp_path / "deep" / "below").mkdir(parents=True)
    (tmp_path / "deep" / "below" / "file").touch()
    pod.log.append("0123456789")
    after = seen(pod, tmp_path)
    assert after.files == before.files + 1
    assert after.log_bytes > before.log_bytes + 10
