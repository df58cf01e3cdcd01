import json
from dataclasses import replace
from pathlib import Path

import pytest

from lmcache_kserve import resources
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import hardware, loads
from lmcache_kserve.plan.loads import Asked, way

RATES = resources.rates_path()
ASKED = Asked(backend="redis", mode="in-process", client="", network=3e9, workers=1)


def measured(backend: str, mode: str, client: str) -> float:
    arms = json.loads(RATES.read_text(encoding="utf-8"))["arms"]
    (arm,) = (arm for arm in arms if (arm["backend"], arm["mode"], arm["client"]) == (backend, mode, client))
    cells = [cell for cell in arm["cells"] if (cell["how"], cell["operation"]) == ("client", "get")]
    return max(float(cell["gigabytes_per_s"]) for cell in cells) * 1e9


def test_the_slowest_part_of_the_way_limits_a_hit() -> None:
    found = way(ASKED, hardware.gpu("H100"), RATES)
    assert [stage.name for stage in found.stages] == ["GPU link", "network", "client redis-py"]
    assert found.slowest.name == "client redis-py"
    assert found.slowest.rate == pytest.approx(measured("redis", "in-process", "redis-py"))
    assert way(replace(ASKED, network=1e6), None, RATES).slowest.name == "network"


def test_workers_load_side_by_side_and_share_the_network() -> None:
    one, four = (way(replace(ASKED, workers=number), None, RATES).stages for number in (1, 4))
    assert [stage.rate for stage in four] == [one[0].rate, pytest.approx(4 * one[1].rate)]


def test_a_faster_client_is_recommended_and_the_fastest_recommends_none() -> None:
    assert way(ASKED, None, RATES).note.startswith("--client=direct loads ")
    assert way(replace(ASKED, client="direct"), None, RATES).note == ""


def test_mode_multiprocess_has_a_client_of_its_own() -> None:
    found = way(replace(ASKED, mode="multiprocess"), None, RATES)
    assert found.slowest.rate == pytest.approx(measured("redis", "multiprocess", ""))


def test_the_clients_of_mode_multiprocess_are_told_apart() -> None:
    asked = replace(ASKED, mode="multiprocess")
    assert way(replace(asked, client="redis-py"), None, RATES) == way(asked, None, RATES)
    loads.check(replace(asked, client="direct"))
    chosen = way(replace(asked, client="direct"), None, RATES)
    assert chosen.note or chosen.slowest.name == "client direct"


def test_one_server_loads_for_all_workers_in_mode_multiprocess() -> None:
    one, four = (way(replace(ASKED, mode="multiprocess", workers=number), None, RATES) for number in (1, 4))
    assert one.stages == four.stages


def test_without_a_backend_the_gpus_link_decides() -> None:
    h100 = hardware.gpu("H100")
    found = way(replace(ASKED, backend="none", workers=2), h100, RATES)
    assert [(stage.name, stage.rate) for stage in found.stages] == [("GPU link", 2 * h100.link)]
    with pytest.raises(HarnessError, match=r"--backend=none .* give --gpu"):
        way(replace(ASKED, backend="none"), None, RATES)


def test_a_backend_that_nobody_measured_needs_a_network_and_says_so() -> None:
    found = way(replace(ASKED, backend="s3"), None, RATES)
    assert found.slowest.name == "network"
    assert found.note.startswith("Nobody measured s3's client")
    with pytest.raises(HarnessError, match=r"--backend=s3 .* give --network"):
        way(replace(ASKED, backend="s3", network=None), None, RATES)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"backend": "memcached"}, "--backend=memcached: choose among none, redis, "),
        ({"mode": "both"}, "--mode=both: choose among in-process, multiprocess"),
        ({"mode": "multiprocess", "backend": "mooncake"}, "--mode=multiprocess has no client for --backend=mooncake"),
        ({"client": "glide"}, "--client=glide: --backend=redis in mode in-process has redis-py and direct"),
        ({"client": "direct", "backend": "s3"}, "--client=direct: --backend=s3 .* leave the option out"),
        (
            {"client": "glide", "mode": "multiprocess"},
            "--client=glide: --backend=redis in mode multiprocess has redis-py",
        ),
    ],
)
def test_what_no_release_can_be_is_refused_by_its_option(changes: dict[str, str], says: str) -> None:
    with pytest.raises(HarnessError, match=says):
        loads.check(replace(ASKED, **changes))  # type: ignore[arg-type]  # texts only


def test_the_rates_are_those_of_the_committed_report() -> None:
    committed = Path(__file__).resolve().parents[3] / "docs/reports/rates.json"
    assert RATES.read_bytes() == committed.read_bytes()
