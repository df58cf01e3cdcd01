"""What the parts of a release take of this machine while something happens."""

import time
from dataclasses import replace
from typing import Any

from small_pod import container, plan

from lmcache_kserve.local.meter import Meter
from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.waiting import wait_for

BUSY = "import time\nblock = bytearray(64 * 2**20)\nend = time.time() + 60\nwhile time.time() < end: sum(range(1000))"


def busy(name: str, component: str = "predictor") -> PodPlan:
    main = container(name=name, command=["python3", "-c", BUSY])
    del main["startupProbe"]
    return replace(plan(main), component=component)


def use(pod: Any) -> Any:
    begin = time.monotonic()
    with Meter([pod]) as meter:
        wait_for(lambda: time.monotonic() - begin > 1.0, timeout=30, delay=0.1, describe="a second")
    return meter.use


def test_processor_time_and_peak_memory_belong_to_the_part_of_the_container(started: Any) -> None:
    seen = use(started(busy("kserve-container")))
    assert seen.keys() == {"engine"}
    assert seen["engine"].cpu_s > 0
    assert seen["engine"].peak_bytes > 64 * 2**20


def test_the_server_and_the_backend_are_parts_of_their_own(started: Any) -> None:
    assert use(started(busy("lmcache-server"))).keys() == {"lmcache"}
    assert use(started(busy("redis", component="remote-backend"))).keys() == {"backend"}


def test_time_before_and_containers_without_a_part_do_not_count(started: Any) -> None:
    pod = started(busy("kserve-container"))
    use(pod)
    assert use(pod)["engine"].cpu_s < 2.5
    assert use(started(busy("helper"))) == {}
