"""Every file of ci/, applied as Argo CD applies it: nothing differs once KServe's webhooks have had their say."""

from collections.abc import Iterator

import pytest
from kube import Installed, Kubectl
from rendering import CHART

from lmcache_kserve.chart.helm import Helm
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.functional, pytest.mark.long, pytest.mark.every_helm]

FILES = sorted((CHART / "ci").glob("*-values.yaml"))
ARGO_CD = "argocd-controller"
APPLY = ("--server-side", "--force-conflicts", f"--field-manager={ARGO_CD}", "--filename=-")


@pytest.fixture(params=FILES, ids=lambda file: file.name.removesuffix("-values.yaml"))
def applied(request: pytest.FixtureRequest, namespace: Kubectl, helm: Helm) -> Iterator[str]:
    """What a file renders, applied; its pods may never run, which no difference depends on."""
    rendered = Installed(helm.binary, namespace, "sync", files=(request.param,)).template()
    namespace.run("apply", *APPLY, stdin=rendered)
    yield rendered
    namespace.run("delete", "--wait=true", "--ignore-not-found", "--filename=-", stdin=rendered)


def test_nothing_differs_after_a_sync(namespace: Kubectl, applied: str) -> None:
    def differences() -> str:
        done = namespace.run("diff", *APPLY, stdin=applied, check=False)
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout

    def same() -> bool | Pending:
        # A controller may write a status between the two looks that a diff takes; the next diff does not show it.
        found = differences()
        return not found or Pending(found)

    wait_for(same, timeout=30, describe="the sync to be taken up")
    namespace.run("apply", *APPLY, stdin=applied)
    wait_for(same, timeout=30, describe="a second sync to leave no difference")
