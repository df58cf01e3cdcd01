"""A release with Valkey under Helm 3: upgraded from the previous version of the chart, tested, and uninstalled.

It is upgraded twice: with the values of the last revision and nothing else, and with the values of a file.
"""

from pathlib import Path

import pytest
from kube import ONE_BY_ONE, Installed, Kubectl
from rendering import CHART, PREVIOUS_CHART, PREVIOUS_VALUES

pytestmark = pytest.mark.cluster

SETTINGS = ("remoteBackend.type=valkey", "remoteBackend.valkey.persistence.enabled=true", *ONE_BY_ONE)


@pytest.fixture(scope="module")
def installed(namespace: Kubectl, helm3: Path) -> Installed:
    release = Installed(helm3, namespace, "demo", SETTINGS, (PREVIOUS_VALUES,), PREVIOUS_CHART)
    release.install()
    release.wait_until_ready()
    return release


@pytest.mark.long
@pytest.mark.upgrade
def test_the_values_of_the_previous_chart_are_enough_for_this_one(installed: Installed) -> None:
    with installed.traffic() as failed:
        installed.upgrade_with_the_values_of_the_release(CHART)
        installed.wait_until_ready()
    assert failed == []
    done = installed.test()
    assert done.returncode == 0, done.stdout + done.stderr
    with installed.traffic() as failed:
        installed.roll_back(1)
        installed.wait_until_ready()
    assert failed == []


@pytest.mark.upgrade
def test_an_upgrade_from_the_previous_chart_keeps_answering(installed: Installed) -> None:
    before = installed.kubectl.text(
        "get", "secret", f"{installed.service}-valkey", "--output=jsonpath={.data.password}"
    )
    with installed.traffic() as failed:
        installed.upgrade(chart=CHART)
        installed.wait_until_ready()
    assert failed == []
    after = installed.kubectl.text("get", "secret", f"{installed.service}-valkey", "--output=jsonpath={.data.password}")
    assert after == before


@pytest.mark.smoke
def test_helm_test_finds_a_hit_across_the_replicas(installed: Installed) -> None:
    done = installed.test()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.functional
def test_uninstalling_leaves_the_claim_and_nothing_else(installed: Installed) -> None:
    installed.uninstall()
    kinds = (
        "inferenceservices,servingruntimes,deployments,statefulsets,pods,services,networkpolicies,configmaps,secrets"
    )
    left = set(installed.kubectl.text("get", kinds, "--output=name").split())
    # Helm leaves the pod of its last test, as docs/verify.md says.
    assert left == {"configmap/kube-root-ca.crt", f"pod/{installed.service}-test"}
    claims = [claim["metadata"]["name"] for claim in installed.kubectl.items("persistentvolumeclaims")]
    assert claims == [f"data-{installed.service}-valkey-0"]
