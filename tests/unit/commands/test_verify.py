"""The whole proof of a release on a cluster."""

from pathlib import Path

import pytest
from fake_cluster import FakeCluster, cluster, connect, lmcache_server, read_role
from fake_release import FakeTarget
from made_evidence import evidence as good_evidence
from rich.console import Console

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.commands import verify
from lmcache_kserve.evidence import Evidence
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.run import run_experiment
from lmcache_kserve.verdict import judge

ROLE = Path(__file__).parents[3] / "docs" / "verify-role.yaml"


def test_replicas_that_lost_their_backend_for_good_are_restarted_at_the_end(
    fake: FakeCluster, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lmcache_server(fake)

    def interrupt(target: ClusterTarget, **_: object) -> Evidence:
        assert target.backend is not None
        target.backend.stop()
        target.backend.start()
        return good_evidence()

    monkeypatch.setattr(verify, "run_experiment", interrupt)
    monkeypatch.setattr(Api, "connect", lambda **_: api)
    before = set(fake.logs)
    console = Console(quiet=True)
    assert verify.run(options(tmp_path), console=console)
    assert set(fake.objects["pods"]).isdisjoint(before)
    assert (tmp_path / "logs" / "predictor-0.log").exists()
    assert (tmp_path / "report.json").exists()


def options(out: Path) -> verify.Options:
    return verify.Options(
        release="demo",
        namespace="llm",
        kubeconfig=None,
        context=None,
        measurement=Measurement(),
        out=out,
        command=("lmcache-kserve", "verify", "demo"),
    )


def test_the_role_of_the_documentation_suffices_for_every_check_and_holds_nothing_more(tmp_path: Path) -> None:
    rules = read_role(ROLE)
    with cluster(FakeTarget(), rules=rules) as fake, ClusterTarget(connect(fake, tmp_path), "demo") as target:
        evidence = run_experiment(
            target,
            measurement=Measurement(
                pairs=3, warmup_pairs=1, prompt_tokens=600, traffic_interval_s=0.01, survivor_interval_s=0.01, seed=7
            ),
        )
        checks = {check.id: check for check in judge(evidence)}
    failed = {name: check.summary for name, check in checks.items() if not check.passed}
    # The fake answers at once, warm or cold, so its TTFT says nothing. Its page of metrics is not at /metrics.
    assert set(failed) - {"ttft"} == {"external-hits-metric"}, failed
    allowed = {
        (resource, verb)
        for rule in rules
        for resource in rule.resources
        for verb in rule.verbs
        # Kubernetes asks for one of the two, by its version.
        if (resource, verb) != ("pods/portforward", "get")
    }
    assert allowed == {need for rule in rules for need in rule.used}
