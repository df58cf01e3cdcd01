import json
import sys
from pathlib import Path

import pytest

from lmcache_kserve.chart.helm import ChartRefusalError, Helm, HelmError, ValuesSchemaError
from lmcache_kserve.chart.manifests import ManifestError

OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


class FakeHelm:
    """A program that notes how it was called and answers as told."""

    def __init__(self, folder: Path) -> None:
        self.binary = folder / "helm"
        self._call = folder / "call.json"
        self.answers()

    def answers(self, *, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        self.binary.write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys\n"
            "call = {'argv': sys.argv[1:], 'stdin': sys.stdin.read(), 'env': dict(os.environ)}\n"
            f"open({str(self._call)!r}, 'w').write(json.dumps(call))\n"
            f"sys.stdout.write({stdout!r})\n"
            f"sys.stderr.write({stderr!r})\n"
            f"sys.exit({code})\n",
            encoding="utf-8",
        )
        self.binary.chmod(0o755)

    @property
    def argv(self) -> list[str]:
        return list(json.loads(self._call.read_text(encoding="utf-8"))["argv"])

    @property
    def stdin(self) -> str:
        return str(json.loads(self._call.read_text(encoding="utf-8"))["stdin"])

    @property
    def env(self) -> dict[str, str]:
        return dict(json.loads(self._call.read_text(encoding="utf-8"))["env"])


@pytest.fixture
def fake(tmp_path: Path) -> FakeHelm:
    return FakeHelm(tmp_path)


def fail(fake: FakeHelm, stderr: str, *, stdout: str = "") -> HelmError:
    fake.answers(stderr=stderr, stdout=stdout, code=1)
    with pytest.raises(HelmError) as caught:
        Helm(fake.binary).template(Path("chart"), release="llm", namespace="models")
    return caught.value


def test_values_reach_helm_in_the_order_in_which_they_win(fake: FakeHelm) -> None:
    fake.answers(stdout=OBJECT)
    manifests = Helm(fake.binary).template(
        Path("chart"),
        release="llm",
        namespace="models",
        values_files=[Path("a.yaml"), Path("b.yaml")],
        values={"predictor": {"replicas": 2}},
        set_values=["model.id=facebook/opt-125m", "a.b=null"],
        set_strings=["c=1"],
        set_json=['d={"e": 1}'],
        set_files=["f=/file"],
        set_literals=["g=1,2"],
        kube_version="1.33.0",
        api_versions=["serving.kserve.io/v1beta1/InferenceService"],
    )
    assert fake.argv == [
        *["template", "llm", "chart", "--namespace", "models", "--kube-version", "1.33.0"],
        *["--api-versions", "serving.kserve.io/v1beta1/InferenceService"],
        *["--values", "a.yaml", "--values", "b.yaml", "--values", "-"],
        *["--set-json", 'd={"e": 1}'],
        *["--set", "model.id=facebook/opt-125m", "--set", "a.b=null"],
        *["--set-string", "c=1", "--set-file", "f=/file", "--set-literal", "g=1,2"],
    ]
    assert json.loads(fake.stdin) == {"predictor": {"replicas": 2}}
    assert manifests.one("ConfigMap")["metadata"]["name"] == "a"


def test_a_render_without_values_reads_nothing_from_standard_input(fake: FakeHelm) -> None:
    Helm(fake.binary).template(Path("chart"), release="llm", namespace="models")
    assert "-" not in fake.argv
    assert fake.stdin == ""


def test_the_users_helm_settings_and_cluster_do_not_reach_helm(fake: FakeHelm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_NAMESPACE", "other")
    monkeypatch.setenv("HELM_PLUGINS", "/plugins")
    monkeypatch.setenv("HELM_CONFIG_HOME", "/config")
    monkeypatch.setenv("KUBECONFIG", "/kubeconfig")
    Helm(fake.binary).template(Path("chart"), release="llm", namespace="models")
    assert fake.env["KUBECONFIG"] == "/dev/null"
    assert {name for name in fake.env if name.startswith("HELM_")} == {
        "HELM_CACHE_HOME",
        "HELM_CONFIG_HOME",
        "HELM_DATA_HOME",
    }
    assert fake.env["HELM_CONFIG_HOME"] != "/config"


def test_log_lines_on_standard_error_are_no_part_of_what_was_rendered(fake: FakeHelm) -> None:
    fake.answers(stdout=OBJECT, stderr="level=WARN msg=something")
    assert len(Helm(fake.binary).template(Path("chart"), release="llm", namespace="models")) == 1


def test_rendered_text_that_is_no_yaml_is_an_error(fake: FakeHelm) -> None:
    fake.answers(stdout="a: b: c")
    with pytest.raises(ManifestError):
        Helm(fake.binary).template(Path("chart"), release="llm", namespace="models")


def test_a_failure_of_the_chart_is_its_message_and_nothing_else(fake: FakeHelm) -> None:
    error = fail(
        fake,
        "Error: execution error at (lmcache-kserve/templates/validate.yaml:1:4): \n"
        "2 problems in the values:\n- model.id: is empty\n- remoteBackend.type: no (really)\n\n"
        "Use --debug flag to render out invalid YAML\n",
    )
    assert str(error) == "2 problems in the values:\n- model.id: is empty\n- remoteBackend.type: no (really)"


def test_a_failure_of_the_schema_is_the_list_of_its_paths(fake: FakeHelm) -> None:
    error = fail(
        fake,
        "Error: values don't meet the specifications of the schema(s) in the following chart(s):\n"
        "lmcache-kserve:\n- at '/model': got number, want object\n\n",
    )
    assert str(error) == "the values do not fit the chart's schema:\n- at '/model': got number, want object"


def test_each_line_of_the_charts_list_is_one_problem_with_its_value(fake: FakeHelm) -> None:
    error = fail(
        fake,
        "Error: execution error at (lmcache-kserve/templates/validate.yaml:1:4): \n"
        "2 problems in the values of lmcache-kserve:\n"
        "  - predictor.env[0] (A): has both value and valueFrom\n  - model.extraArgs[1]: --port: is set\n\n",
    )
    assert isinstance(error, ChartRefusalError)
    assert [(found.object, found.path, found.message) for found in error.violations] == [
        ("values", "predictor.env[0] (A)", "has both value and valueFrom"),
        ("values", "model.extraArgs[1]", "--port: is set"),
    ]


def test_a_refusal_that_is_no_list_is_one_problem(fake: FakeHelm) -> None:
    error = fail(fake, "Error: execution error at (c/templates/a.yaml:1:4): a name\nis required\n")
    assert isinstance(error, ChartRefusalError)
    assert [(found.path, found.message) for found in error.violations] == [("", "a name is required")]


@pytest.mark.parametrize(
    ("line", "path", "message"),
    [
        ("- at '/predictor/env/0/name': got number, want string", "predictor.env[0].name", "got number, want string"),
        ("- predictor.env.0.name: Invalid type.", "predictor.env[0].name", "Invalid type."),
        ("- at '': additional properties 'a' not allowed", "", "additional properties 'a' not allowed"),
        ("- (root): Additional property a is not allowed", "", "Additional property a is not allowed"),
    ],
)
def test_a_line_of_the_schema_has_the_same_path_whichever_helm_wrote_it(
    fake: FakeHelm, line: str, path: str, message: str
) -> None:
    error = fail(fake, f"Error: values don't meet the specifications of the schema(s) in the chart(s):\nc:\n{line}\n")
    assert isinstance(error, ValuesSchemaError)
    assert [(found.path, found.message) for found in error.violations] == [(path, message)]


def test_the_charts_schema_can_be_left_out(fake: FakeHelm) -> None:
    Helm(fake.binary).template(Path("chart"), release="llm", namespace="models", values_schema=False)
    assert "--skip-schema-validation" in fake.argv


def test_another_failure_is_helms_error_without_its_advice_and_its_log(fake: FakeHelm) -> None:
    error = fail(
        fake,
        'level=ERROR msg="release name check failed"\nError: invalid release name\n\nUse --debug flag to see more\n',
    )
    assert str(error) == "invalid release name"


def test_an_error_tells_the_command(fake: FakeHelm) -> None:
    error = fail(fake, "Error: no")
    assert error.argv == (str(fake.binary), *fake.argv)
    assert error.stderr == "Error: no"
    assert error.__notes__ == [
        f"command: {fake.binary} template llm chart --namespace models --kube-version 1.34.0",
    ]


def test_a_failure_without_a_word_still_has_a_message(fake: FakeHelm) -> None:
    assert str(fail(fake, "")) == "helm failed without a message"


def test_lint_is_strict_unless_told_otherwise(fake: FakeHelm) -> None:
    Helm(fake.binary).lint(Path("chart"), values_files=[Path("a.yaml")])
    assert fake.argv == ["lint", "chart", "--kube-version", "1.34.0", "--strict", "--values", "a.yaml"]
    Helm(fake.binary).lint(Path("chart"), strict=False)
    assert fake.argv == ["lint", "chart", "--kube-version", "1.34.0"]


def test_what_lint_found_is_in_the_error(fake: FakeHelm) -> None:
    fake.answers(stdout="[ERROR] values.yaml: no\n", stderr="Error: 1 chart(s) linted, 1 chart(s) failed\n", code=1)
    with pytest.raises(HelmError, match=r"\[ERROR\] values\.yaml: no"):
        Helm(fake.binary).lint(Path("chart"))


def test_package_returns_where_helm_put_the_chart(fake: FakeHelm, tmp_path: Path) -> None:
    fake.answers(stdout=f"Successfully packaged chart and saved it to: {tmp_path}/c-0.1.0.tgz\n")
    assert Helm(fake.binary).package(Path("chart"), tmp_path) == tmp_path / "c-0.1.0.tgz"
    assert fake.argv == ["package", "chart", "--destination", str(tmp_path)]


def test_package_does_not_guess_a_path(fake: FakeHelm, tmp_path: Path) -> None:
    fake.answers(stdout="done")
    with pytest.raises(HelmError, match="does not say where"):
        Helm(fake.binary).package(Path("chart"), tmp_path)


def test_the_version_is_without_its_v(fake: FakeHelm) -> None:
    fake.answers(stdout="v4.3.1\n")
    assert Helm(fake.binary).version == "4.3.1"
    assert Helm(fake.binary).major == 4


def test_a_binary_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HelmError, match=r"cannot start .*/nothing: No such file"):
        _ = Helm(tmp_path / "nothing").version


def test_a_hung_helm_is_ended(tmp_path: Path) -> None:
    binary = tmp_path / "helm"
    binary.write_text("#!/bin/sh\nexec tail -f /dev/null\n", encoding="utf-8")
    binary.chmod(0o755)
    with pytest.raises(HelmError, match=r"helm version did not end within 0\.05 s"):
        _ = Helm(binary, timeout_s=0.05).version
