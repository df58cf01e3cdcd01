"""A release with Redis Sentinel whose master goes, planned or not, while the replicas answer requests."""

from pathlib import Path

import pytest
from kube import Installed, Kubectl, master, sentinel
from rendering import CHART

from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.evidence import Outage
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.faults import Fault, disturb
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.fault]

HITS_WITHIN_S = 60.0
SETTLED_WITHIN_S = 120.0


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest, namespace: Kubectl, helm4: Path) -> Installed:
    release = Installed(helm4, namespace, "demo", files=(CHART / "ci" / "redis-sentinel-values.yaml",))
    release.install()
    request.addfinalizer(release.uninstall)  # noqa: PT021 - also of one that does not become ready
    release.wait_until_ready()
    return release


@pytest.mark.parametrize("how", [("--grace-period=0", "--force"), ()], ids=["lost", "deleted"])
def test_no_request_fails_and_hits_return_when_the_master_goes(installed: Installed, how: tuple[str, ...]) -> None:
    wait_for(
        lambda: _copied(installed), timeout=SETTLED_WITHIN_S, delay=1.0, describe="all nodes to be copied and known"
    )
    old = master(installed)
    with ClusterTarget(installed.api, installed.name) as target:
        bench = Bench(target, None, measurement=Measurement(traffic_interval_s=0.5), journal=Journal())
        with bench.opened():
            bench.calibrate()
            fault = Fault(
                name=f"master {old} deleted",
                client_reconnects=True,
                begin=lambda: _delete(installed, old, how),
                end=lambda: None,
            )
            seen = disturb(bench, fault, stage="failover")
            assert isinstance(seen, Outage)
            assert [answer for answer in seen.answers if answer.error or not answer.correct] == []
            assert seen.hits_returned_s is not None
            assert seen.hits_returned_s + seen.down_s < HITS_WITHIN_S
            new = master(installed)
            assert new != old
            before = _keys(installed, new)

            def used() -> bool:
                # Until the proxy lets go of an old master that still runs, what it is given is lost.
                bench.store(bench.probes[0], bench.short_prompt())
                return _keys(installed, new) > before

            wait_for(used, timeout=HITS_WITHIN_S, delay=1.0, describe=f"{new} to be used")


def _delete(installed: Installed, pod: str, how: tuple[str, ...]) -> None:
    installed.kubectl.run("delete", "pod", pod, "--wait=false", *how)


def _copied(installed: Installed) -> bool | Pending:
    """Whether every Sentinel knows both replicas, and every node is ready, which is to have copied its master."""
    known = []
    for number in range(3):
        said = sentinel(installed, number, "master")
        known.append(int(said[said.index("num-slaves") + 1]))
    ready = [
        all(status["ready"] for status in pod["status"].get("containerStatuses", ()))
        for pod in installed.kubectl.items("pods", labels={**installed.backend, "lmcache-kserve/part": "redis"})
    ]
    return (known == [2] * 3 and ready == [True] * 3) or Pending(f"replicas known {known}, ready {ready}")


def _keys(installed: Installed, pod: str) -> int:
    return int(installed.kubectl.text("exec", pod, "--", "redis-cli", "dbsize").split()[-1])
