"""Examines a chart of one ConfigMap and one pod, whose values make every kind of fault."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.examination import Examination, Kind, Request, examine
from lmcache_kserve.chart.helm import Helm
from lmcache_kserve.errors import HarnessError

POD = """
apiVersion: v1
kind: Pod
metadata: {name: {{ .Release.Name }}}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: server
      image: {{ .Values.image }}
      {{- with .Values.port }}
      ports: [{ {{ . }}: 80 }]
      {{- end }}
      env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: {{ .Values.existingSecret }}, key: password}}}]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}}
"""
RULES = """
{{- if .Values.broken }}
{{- printf "\\n\\n2 problems in the values of small:\\n  - a.b: is wrong\\n  - c: is wrong, too\\n" | fail }}
{{- end }}
"""
TEMPLATES = {"pod.yaml": POD, "validate.yaml": RULES, "extra.yaml": '{{ required "extra: is required" .Values.extra }}'}
CHART_YAML = """
apiVersion: v2
name: small
version: 1.2.3
annotations: {lmcache-kserve/oldest-kserve: "0.15", lmcache-kserve/newest-kserve: "0.21"}
"""
SCHEMA = {"properties": {"broken": {"type": "boolean"}}}

Check = Callable[..., Examination]


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART_YAML, encoding="utf-8")
    values = {
        "image": "a:1",
        "broken": False,
        "port": "containerPort",
        "existingSecret": "mine",
        "extra": "# nothing",
        "kserve": {"version": "0.19"},
    }
    (folder / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    (folder / "values.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    for name, text in TEMPLATES.items():
        (folder / "templates" / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def check(chart: Path) -> Check:
    def made(*set_values: str, kserve_version: str | None = None, values_files: tuple[Path, ...] = ()) -> Examination:
        request = Request(
            chart=chart,
            helm=Helm(helm_binary.pinned_helm(4)),
            values_files=values_files,
            set_values=set_values,
            release="llm",
            namespace="models",
            kserve_version=kserve_version,
        )
        return examine(request)

    return made


def found(examination: Examination) -> list[tuple[str, str, str, str]]:
    return [(str(one.kind), one.id, one.object, one.path) for one in examination.findings]


RULE = [("rule", "chart", "values", "a.b"), ("rule", "chart", "values", "c")]
POLICY = ("policy", "images-are-pinned", "Pod/llm", "containers[server].image")


def test_values_without_a_fault_pass_and_what_judged_is_said(check: Check) -> None:
    examination = check()
    assert examination.passed
    assert examination.objects == ("Pod/llm",)
    assert (examination.chart, examination.helm) == ("small 1.2.3", helm_binary.PINNED_HELM[4].version)
    assert (examination.findings, examination.exempt, examination.not_done) == ((), (), ())


def test_every_kind_of_fault_is_found_in_one_go(check: Check) -> None:
    examination = check("broken=true", "port=containerPrt", "image=a")
    assert set(found(examination)) == {
        *RULE,
        ("schema", "kubernetes", "Pod/llm", "spec.containers[0].ports[0]"),
        POLICY,
    }
    assert examination.not_done == ()


def test_values_that_do_not_fit_their_schema_hide_nothing(check: Check) -> None:
    examination = check("broken=yes", "image=a")
    assert found(examination) == [("schema", "values", "values", "broken"), *RULE, POLICY]


def test_a_refusal_outside_the_rules_is_a_rule_too_and_the_rest_is_said_not_to_be_judged(check: Check) -> None:
    examination = check("broken=true", "extra=")
    assert found(examination) == [*RULE, ("rule", "chart", "values", "")]
    assert examination.findings[-1].message == "extra: is required"
    (sentence,) = examination.not_done
    assert "do not render" in sentence


def test_objects_that_cannot_render_beside_other_faults_are_said_not_to_be_judged(chart: Path, check: Check) -> None:
    (chart / "templates" / "bad.yaml").write_text("{{ .Values.image.name }}", encoding="utf-8")
    examination = check("broken=true")
    assert found(examination) == RULE
    assert examination.objects == ()
    assert len(examination.not_done) == 1


def test_rules_that_cannot_read_the_values_are_said_not_to_be_tried(chart: Path, check: Check) -> None:
    (chart / "templates" / "validate.yaml").write_text("{{ if gt .Values.broken 1 }}{{ end }}", encoding="utf-8")
    examination = check("broken=yes")
    assert found(examination) == [("schema", "values", "values", "broken")]
    assert examination.not_done == ("The chart's rules were not tried, because they cannot read these values.",)
    assert examination.objects == ("Pod/llm",)


def test_a_chart_that_fails_without_a_reason_in_the_values_cannot_be_checked(chart: Path, check: Check) -> None:
    (chart / "templates" / "bad.yaml").write_text("{{ .Values.image.name }}", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"bad\.yaml"):
        check()


def test_rules_that_crash_on_good_values_let_nothing_pass(chart: Path, check: Check) -> None:
    (chart / "templates" / "validate.yaml").write_text("{{ .Values.image.name }}", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"validate\.yaml"):
        check()


def test_a_finding_in_a_file_does_not_hide_why_helm_cannot_start(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("image: a:1\nimage: b:1\n", encoding="utf-8")
    with pytest.raises(HarnessError, match="--set"):
        check("a", values_files=(file,))


def test_text_that_is_no_object_is_a_finding(check: Check) -> None:
    examination = check("extra=kind: Pod")
    assert found(examination) == [("schema", "kubernetes", "values", "")]
    assert len(examination.not_done) == 1


def test_an_object_of_an_operator_is_listed_and_not_judged_by_a_schema(chart: Path, check: Check) -> None:
    monitor = "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: a}\n"
    (chart / "templates" / "monitor.yaml").write_text(monitor, encoding="utf-8")
    examination = check()
    assert examination.passed
    assert examination.without_schema == ("ServiceMonitor/a",)


def test_a_kind_that_kubernetes_dropped_is_a_finding(chart: Path, check: Check) -> None:
    dropped = "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: a}\n"
    (chart / "templates" / "dropped.yaml").write_text(dropped, encoding="utf-8")
    assert found(check()) == [("schema", "kubernetes", "PodSecurityPolicy/a", "kind")]


def test_a_policy_that_cannot_read_a_misfit_is_said_not_to_be_applied(chart: Path, check: Check) -> None:
    pod = POD.replace("containers:", "volumes: text\n  containers:")
    (chart / "templates" / "pod.yaml").write_text(pod, encoding="utf-8")
    examination = check("image=a")
    assert ("schema", "kubernetes", "Pod/llm", "spec.volumes") in found(examination)
    assert POLICY in found(examination)
    assert any(sentence.startswith("Policy mounts-have-volumes was not applied") for sentence in examination.not_done)


def test_a_secret_that_the_values_name_is_the_clusters_and_another_is_missed(chart: Path, check: Check) -> None:
    (chart / "templates" / "pod.yaml").write_text(
        POD.replace("{{ .Values.existingSecret }}", "other"), encoding="utf-8"
    )
    assert [one.id for one in check().findings] == ["references-exist"]


def test_the_kserve_that_the_values_name_judges_unless_another_is_asked_for(check: Check) -> None:
    assert check().kserve == "0.19.0"
    assert check(kserve_version="0.16").kserve == "0.16.0"
    examination = check("kserve.version=0.21")
    assert (examination.kserve, examination.passed) == ("0.20.0", True)
    assert examination.not_done == ("KServe 0.20.0 judged, because the schemas of kserve.version 0.21 are not here.",)


def test_what_helm_drops_from_a_file_is_a_finding(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("image: a:1\nimage: b:1\n", encoding="utf-8")
    (finding,) = check(values_files=(file,)).findings
    assert (finding.kind, finding.id, finding.path) == (Kind.SCHEMA, "values", f"{file}, line 2")


@pytest.mark.parametrize(("kube_version", "seen"), [("v1.34.2", "v1.34.2"), ("1.33", "v1.33"), (None, "v1.37")])
def test_the_chart_sees_the_cluster_that_was_asked_for(chart: Path, kube_version: str | None, seen: str) -> None:
    name = (
        "{{ .Capabilities.KubeVersion.Version }}-{{ .Release.Namespace }}-"
        '{{ .Capabilities.APIVersions.Has "a.com/v1" }}'
        "-{{ .Values.text }}-{{ .Values.json.a }}-{{ .Values.file }}-{{ .Values.literal }}"
    )
    template = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"
    (chart / "templates" / "cluster.yaml").write_text(template, encoding="utf-8")
    (chart / "file").write_text("content", encoding="utf-8")
    examination = examine(
        Request(
            chart=chart,
            helm=Helm(helm_binary.pinned_helm(4)),
            set_strings=("text=007",),
            set_json=('json={"a": 1}',),
            set_files=(f"file={chart / 'file'}",),
            set_literals=("literal=a",),
            release="llm",
            namespace="models",
            kube_version=kube_version,
            api_versions=("a.com/v1",),
        )
    )
    (object_name,) = (name for name in examination.objects if name.startswith("ConfigMap/"))
    assert object_name.startswith(f"ConfigMap/{seen}")
    assert object_name.endswith("-models-true-007-1-content-a")


@pytest.mark.parametrize("release", ["Llm", "a_b", "a" * 54, ""])
def test_a_release_name_that_helm_refuses_is_named(chart: Path, release: str) -> None:
    helm = Helm(helm_binary.pinned_helm(4))
    with pytest.raises(HarnessError, match="--release-name"):
        examine(Request(chart=chart, helm=helm, release=release, namespace="models"))
