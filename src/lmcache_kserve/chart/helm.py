"""The one door to Helm: renders, lints and packs a chart, offline and apart from the user's own Helm settings."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from lmcache_kserve.chart.manifests import VALUES, Manifests, Violation, dotted
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.secrets import redact_command

DEFAULT_KUBE_VERSION = "1.34.0"
"""What a chart sees as the cluster's version; explicit, because each Helm release brings another default."""

# A chart's own `fail` and `required`; the text ends where Helm adds its advice.
_CHART_FAILURE = re.compile(r"execution error at \([^)]*\):\s*(?P<text>.*?)\s*(?:Use --debug flag.*)?\Z", re.DOTALL)
_SCHEMA_FAILURE = re.compile(
    r"values don't meet the specifications of the schema.*?:\n[^\n]*:\n(?P<text>.*)", re.DOTALL
)
# Helm 4 writes "at '/predictor/replicas': got string", Helm 3 "predictor.replicas: Invalid type".
_SCHEMA_LINE = re.compile(r"\s*- (?:at '(?P<pointer>[^']*)'|(?P<dotted>\S+)): (?P<message>.*)")
_PROBLEM_LINE = re.compile(r"\s*- (?P<path>.+?): (?P<message>.*)")
_ADVICE = re.compile(r"\n\s*Use --debug flag[^\n]*")
_GO = {"GOGC": "off", "GOMAXPROCS": "1"}
"""Settings of Go, which Helm is written in. A render ends before its garbage is worth collecting: without the
collector, and without the threads that it starts, a render of this chart takes about 0.6 times the processor time."""

_PACKAGED = re.compile(r"^Successfully packaged chart and saved it to: (?P<path>.+)$", re.MULTILINE)


class HelmError(HarnessError):
    """Helm refused; the text is the chart's own message where the chart is what failed.

    The command and, where it says more than the text, Helm's output are attached as notes.

    Attributes:
        argv: the command, binary first.
        stderr: what Helm wrote to its standard error.
    """

    def __init__(self, message: str, *, argv: Sequence[str], stderr: str) -> None:
        super().__init__(message)
        self.argv = tuple(argv)
        self.stderr = stderr
        self.add_note(f"command: {shlex.join(redact_command(argv))}")


class ChartRefusalError(HelmError):
    """The chart itself refused its values: a `fail` or `required` of a template."""

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Each problem of the chart's list; a text that is not a list is one problem."""
        text = str(self)
        found = tuple(
            Violation(VALUES, match["path"], match["message"])
            for line in text.splitlines()
            if (match := _PROBLEM_LINE.fullmatch(line))
        )
        return found or (Violation(VALUES, "", " ".join(text.split())),)


class ValuesSchemaError(HelmError):
    """The values do not fit the chart's values.schema.json."""

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Each problem, its path dotted whichever Helm wrote it."""
        return tuple(
            Violation(VALUES, _schema_path(match), match["message"])
            for line in str(self).splitlines()
            if (match := _SCHEMA_LINE.fullmatch(line))
        )


@dataclass(frozen=True, slots=True)
class Helm:
    """One Helm binary.

    Nothing of the user's Helm set-up (repositories, plugins, `HELM_*` variables, kubeconfig) reaches these commands:
    what a chart renders depends on the arguments alone.

    Attributes:
        binary: path of the executable, as `lmcache_kserve.chart.helm_binary.helm` finds it.
        timeout_s: seconds after which a command counts as hung.
    """

    binary: Path
    timeout_s: float = 60.0

    @property
    def version(self) -> str:
        """The version without its leading `v`: `4.3.1`."""
        return self._run("version", "--template", "{{.Version}}").strip().removeprefix("v")

    @property
    def major(self) -> int:
        """3 or 4."""
        return int(self.version.partition(".")[0])

    def template(  # noqa: PLR0913 (as many options as Helm has, all by keyword)
        self,
        chart: Path,
        *,
        release: str,
        namespace: str,
        values_files: Sequence[Path] = (),
        values: Mapping[str, Any] | None = None,
        set_values: Sequence[str] = (),
        set_strings: Sequence[str] = (),
        set_json: Sequence[str] = (),
        set_files: Sequence[str] = (),
        set_literals: Sequence[str] = (),
        kube_version: str = DEFAULT_KUBE_VERSION,
        api_versions: Sequence[str] = (),
        values_schema: bool = True,
    ) -> Manifests:
        """Render a chart.

        Later sources win: the chart's values, `values_files` in their order, `values`, `set_json`, `set_values`,
        `set_strings`, `set_files`, `set_literals`.

        Args:
            chart: the chart's folder or package.
            release: name of the release.
            namespace: namespace of the release.
            values_files: files as for `--values`.
            values: values as a mapping.
            set_values: assignments in Helm's own notation (`predictor.replicas=2`), as for `--set`.
            set_strings: assignments of texts, as for `--set-string`.
            set_json: assignments of JSON values, as for `--set-json`.
            set_files: assignments of files' contents, as for `--set-file`.
            set_literals: one assignment each of a text that may hold commas, as for `--set-literal`.
            kube_version: the Kubernetes version that the chart sees.
            api_versions: what the chart sees as the cluster's APIs, for example
                `serving.kserve.io/v1beta1/InferenceService`.
            values_schema: whether Helm refuses values that do not fit the chart's values.schema.json.

        Raises:
            ValuesSchemaError: the values do not fit the chart's schema.
            ChartRefusalError: the chart's templates refuse the values.
            HelmError: Helm could not render the chart.
            ManifestError: what was rendered is not a set of Kubernetes objects.
        """
        arguments = ["template", release, str(chart), "--namespace", namespace, "--kube-version", kube_version]
        for api_version in api_versions:
            arguments += ["--api-versions", api_version]
        if not values_schema:
            arguments.append("--skip-schema-validation")
        assignments = {
            "--set-json": set_json,
            "--set": set_values,
            "--set-string": set_strings,
            "--set-file": set_files,
            "--set-literal": set_literals,
        }
        value_arguments, stdin = _value_arguments(values_files, values, assignments)
        return Manifests.parse(self._run(*arguments, *value_arguments, stdin=stdin))

    def lint(  # noqa: PLR0913 (see template)
        self,
        chart: Path,
        *,
        strict: bool = True,
        values_files: Sequence[Path] = (),
        values: Mapping[str, Any] | None = None,
        set_values: Sequence[str] = (),
        kube_version: str = DEFAULT_KUBE_VERSION,
    ) -> None:
        """Let Helm check a chart; note that Helm's linter passes charts whose `fail` or `required` fires.

        Raises:
            HelmError: the linter found an error, or a warning with `strict`.
        """
        arguments = ["lint", str(chart), "--kube-version", kube_version, *(["--strict"] if strict else [])]
        value_arguments, stdin = _value_arguments(values_files, values, {"--set": set_values})
        self._run(*arguments, *value_arguments, stdin=stdin)

    def package(self, chart: Path, destination: Path) -> Path:
        """Pack a chart's folder into `destination` and return the path of the `.tgz`.

        Raises:
            HelmError: Helm could not pack the folder.
        """
        arguments = ("package", str(chart), "--destination", str(destination))
        output = self._run(*arguments)
        if (packaged := _PACKAGED.search(output)) is None:
            argv = [str(self.binary), *arguments]
            raise HelmError(f"helm package does not say where it put the chart: {output.strip()}", argv=argv, stderr="")
        return Path(packaged["path"].strip())

    def _run(self, *arguments: str, stdin: str = "") -> str:
        """Run Helm and return its standard output, without the log lines of its standard error."""
        argv = [str(self.binary), *arguments]
        try:
            done = subprocess.run(
                argv,
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                timeout=self.timeout_s,
                env=_environment(),
                check=False,
            )
        except OSError as error:
            raise HelmError(f"cannot start {self.binary}: {error.strerror}", argv=argv, stderr="") from error
        except subprocess.TimeoutExpired as error:
            message = f"helm {arguments[0]} did not end within {self.timeout_s:g} s"
            raise HelmError(message, argv=argv, stderr="") from error
        if done.returncode != 0:
            # `helm lint` reports what it found on standard output.
            raise _error(done.stdout, done.stderr, argv)
        return done.stdout


def _environment() -> dict[str, str]:
    """The process's environment with Helm's settings replaced by folders of our own and without a cluster."""
    home = platformdirs.user_cache_path("lmcache-kserve") / "helm-home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HELM_")}
    return environment | {
        "HELM_CACHE_HOME": str(home / "cache"),
        "HELM_CONFIG_HOME": str(home / "config"),
        "HELM_DATA_HOME": str(home / "data"),
        "KUBECONFIG": os.devnull,
        **_GO,
    }


def _value_arguments(
    values_files: Sequence[Path], values: Mapping[str, Any] | None, assignments: Mapping[str, Sequence[str]]
) -> tuple[list[str], str]:
    """Arguments for the sources of values, and the standard input that one of them reads."""
    arguments = [argument for path in values_files for argument in ("--values", str(path))]
    if values is not None:
        arguments += ["--values", "-"]
    for flag, given in assignments.items():
        arguments += [word for assignment in given for word in (flag, assignment)]
    # YAML reads JSON, but not the pairs of escapes that JSON has for a character beyond 16 bits.
    return arguments, json.dumps(values, ensure_ascii=False) if values is not None else ""


def _error(stdout: str, stderr: str, argv: Sequence[str]) -> HelmError:
    """The part of Helm's output that a user of the chart can act on."""
    if failure := _CHART_FAILURE.search(stderr):
        return ChartRefusalError(failure["text"], argv=argv, stderr=stderr)
    if failure := _SCHEMA_FAILURE.search(stderr):
        text = f"the values do not fit the chart's schema:\n{failure['text'].strip()}"
        return ValuesSchemaError(text, argv=argv, stderr=stderr)
    # Helm 4 logs before it ends with its error.
    error = stderr[max(stderr.rfind("\nError: ") + 1, 0) :]
    text = _ADVICE.sub("", "\n".join(part.strip() for part in (error, stdout) if part.strip()))
    message = text.strip().removeprefix("Error: ") or "helm failed without a message"
    return HelmError(message, argv=argv, stderr=stderr)


def _schema_path(line: re.Match[str]) -> str:
    """The path of a schema's complaint, dotted: `predictor.env[0].name`; empty for the values as a whole."""
    separator, text = ("/", line["pointer"]) if line["pointer"] is not None else (".", line["dotted"])
    steps = [step for step in text.split(separator) if step not in {"", "(root)"}]
    return dotted(int(step) if step.isdecimal() else step for step in steps)
