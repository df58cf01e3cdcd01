"""Examines a user's values: the chart's rules, the schemas of Kubernetes and KServe, the policies.

Each of the three is tried even when another finds something. Helm stops at its first refusal. Where the whole chart
does not render, its rules and its objects are therefore rendered apart.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from lmcache_kserve.chart import policies, schemas, versions
from lmcache_kserve.chart.helm import ChartRefusalError, Helm, HelmError, ValuesSchemaError
from lmcache_kserve.chart.manifests import VALUES, ManifestError, Manifests, Violation, describe
from lmcache_kserve.chart.parts import Parts, Rendered, taken_apart
from lmcache_kserve.chart.values_files import ignored_by_helm
from lmcache_kserve.errors import HarnessError

_RELEASE_NAME = re.compile(r"(?=.{1,53}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MISFITS = (AttributeError, KeyError, TypeError, ValueError)
"""How a policy fails on an object that does not fit its schema."""


class Kind(StrEnum):
    """What a finding breaks."""

    RULE = "rule"
    SCHEMA = "schema"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what the finding breaks.
        id: which rules, schema or policy: `chart`, `values`, `kubernetes`, `kserve`, or the id of a policy.
        object: kind and name of the object, or `values`.
        path: where in the object, dotted; empty for the object as a whole.
        message: what is wrong there.
    """

    kind: Kind
    id: str
    object: str
    path: str
    message: str

    @classmethod
    def of(cls, kind: Kind, identity: str, violation: Violation) -> "Finding":
        """The finding for a violation."""
        return cls(kind, identity, violation.object, violation.path, violation.message)


@dataclass(frozen=True, slots=True)
class Exempt:
    """What a policy refuses and the values file documents.

    Attributes:
        finding: what the policy refuses.
        value: the value that a user chose.
        reason: what the choice asks of the namespace.
    """

    finding: Finding
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to examine; the fields are Helm's flags of the same names.

    Attributes:
        chart: the chart's folder or package.
        helm: the Helm to use.
        values_files: values files; the last wins.
        set_values: as for `--set`.
        set_strings: as for `--set-string`.
        set_json: as for `--set-json`.
        set_files: as for `--set-file`.
        set_literals: as for `--set-literal`.
        release: name of the release.
        namespace: namespace of the release.
        kube_version: the Kubernetes version; None for the newest that the chart and the schemas know.
        kserve_version: the KServe version; None for the release that the values name, or else the newest.
        api_versions: further APIs of the cluster.
    """

    chart: Path
    helm: Helm
    values_files: Sequence[Path] = ()
    set_values: Sequence[str] = ()
    set_strings: Sequence[str] = ()
    set_json: Sequence[str] = ()
    set_files: Sequence[str] = ()
    set_literals: Sequence[str] = ()
    release: str
    namespace: str
    kube_version: str | None = None
    kserve_version: str | None = None
    api_versions: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found.

    Attributes:
        chart: name and version of the chart.
        helm: version of Helm.
        kubernetes: the Kubernetes version whose schemas judged.
        kserve: the KServe version whose schemas judged.
        objects: every object, as `describe` names it.
        without_schema: the objects of operators, which no schema here judges.
        findings: everything that is wrong.
        exempt: what a policy refuses and the values file documents.
        not_done: what could not be examined as asked, as sentences.
    """

    chart: str
    helm: str
    kubernetes: str
    kserve: str
    objects: tuple[str, ...]
    without_schema: tuple[str, ...]
    findings: tuple[Finding, ...]
    exempt: tuple[Exempt, ...]
    not_done: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


@dataclass(slots=True)
class _Notes:
    """What an examination has found so far."""

    findings: list[Finding] = field(default_factory=list)
    exempt: list[Exempt] = field(default_factory=list)
    not_done: list[str] = field(default_factory=list)

    def add(self, kind: Kind, identity: str, violations: Collection[Violation]) -> None:
        self.findings += [Finding.of(kind, identity, violation) for violation in violations]


def examine(request: Request) -> Examination:
    """Render the chart with a user's values, and judge the values and every object.

    Raises:
        HarnessError: the examination cannot be made: a file is missing, an option is wrong, a version is unknown.
    """
    if not _RELEASE_NAME.fullmatch(request.release):
        raise HarnessError(
            f"--release-name {request.release!r} is not a release name: use at most 53 lower-case letters, digits, "
            "dashes and dots, with a letter or digit first and last"
        )
    notes = _Notes()
    notes.add(Kind.SCHEMA, "values", ignored_by_helm(request.values_files))
    with taken_apart(request.chart) as parts:
        kubernetes = versions.kubernetes(parts.metadata, request.kube_version)
        known_kserve = versions.known_kserve(parts.metadata)
        asked = request.kserve_version and versions.pick("--kserve-version", request.kserve_version, known_kserve)
        rendered = _render(request, parts, kubernetes, notes)
        chart = f"{parts.metadata.get('name')} {parts.metadata.get('version')}"
    values = rendered.values if rendered else {}
    stated = versions.stated_kserve(values)
    kserve = asked or (schemas.pick(stated, known_kserve) if stated else known_kserve[-1])
    if kserve is None:
        kserve = known_kserve[-1]
        notes.not_done.append(f"KServe {kserve} judged, because the schemas of kserve.version {stated} are not here.")
    manifests = rendered.manifests if rendered else Manifests(objects=(), text="")
    foreign = [manifest for manifest in manifests if schemas.belongs_to_an_operator(manifest)]
    _judge_by_schemas(manifests, kubernetes, kserve, notes)
    _judge_by_policies(manifests, values, notes)
    return Examination(
        chart=chart,
        helm=request.helm.version,
        kubernetes=kubernetes,
        kserve=kserve,
        objects=tuple(map(describe, manifests)),
        without_schema=tuple(map(describe, foreign)),
        findings=tuple(notes.findings),
        exempt=tuple(notes.exempt),
        not_done=tuple(notes.not_done),
    )


def _render(request: Request, parts: Parts, kubernetes: str, notes: _Notes) -> Rendered | None:
    """Render the chart, whole or else in parts; None where its objects do not render.

    Raises:
        HarnessError: the chart does not render, and nothing in its parts explains why.
    """
    before = len(notes.findings)
    fits = True
    try:
        return _template(request, parts.whole, kubernetes)
    except ValuesSchemaError as error:
        fits = False
        notes.add(Kind.SCHEMA, "values", error.violations)
        refusal: HarnessError = error
    except (HelmError, ManifestError) as error:
        refusal = error
    rendered = _render_in_parts(request, parts, kubernetes, notes, values_schema=fits)
    if len(notes.findings) == before:
        raise HarnessError(str(refusal)) from refusal
    if rendered is None:
        notes.not_done.append(
            "The objects were not judged, because they do not render with these values. "
            "Correct what was found, and check again."
        )
    return rendered


def _render_in_parts(
    request: Request, parts: Parts, kubernetes: str, notes: _Notes, *, values_schema: bool
) -> Rendered | None:
    """Try the rules, and render the objects without them; None where the objects do not render."""
    if (rules := parts.rules()) is not None:
        try:
            _template(request, rules, kubernetes, values_schema=values_schema)
        except ChartRefusalError as error:
            notes.add(Kind.RULE, "chart", error.violations)
        except HelmError:
            notes.not_done.append("The chart's rules were not tried, because they cannot read these values.")
    try:
        return _template(request, parts.objects(), kubernetes, values_schema=values_schema)
    except ChartRefusalError as error:
        notes.add(Kind.RULE, "chart", error.violations)
    except ManifestError as error:
        notes.add(Kind.SCHEMA, "kubernetes", [Violation(VALUES, "", " ".join(str(error).split()))])
    except HelmError:
        pass  # a consequence of what was found, or else the chart's own refusal says why
    return None


def _template(request: Request, chart: Path, kubernetes: str, *, values_schema: bool = True) -> Rendered:
    return Rendered.split(
        request.helm.template(
            chart,
            release=request.release,
            namespace=request.namespace,
            values_files=request.values_files,
            set_values=request.set_values,
            set_strings=request.set_strings,
            set_json=request.set_json,
            set_files=request.set_files,
            set_literals=request.set_literals,
            kube_version=request.kube_version or f"{kubernetes}.0",
            api_versions=request.api_versions,
            values_schema=values_schema,
        )
    )


def _judge_by_schemas(manifests: Manifests, kubernetes: str, kserve: str, notes: _Notes) -> None:
    for manifest in manifests:
        if schemas.belongs_to_an_operator(manifest):
            continue
        one = Manifests(objects=(manifest,), text="")
        found = schemas.violations(one, kubernetes_version=kubernetes, kserve_version=kserve)
        notes.add(Kind.SCHEMA, "kserve" if schemas.of_kserve(manifest) else "kubernetes", found)


def _judge_by_policies(manifests: Manifests, values: Mapping[str, Any], notes: _Notes) -> None:
    for policy in policies.catalogue(policies.external_names(values)):
        try:
            breaches = policy.breaches(manifests)
        except HarnessError as error:
            if not notes.findings:
                raise
            notes.not_done.append(f"Policy {policy.id} was not applied: {error}")
            continue
        except _MISFITS:
            if not notes.findings:
                raise
            notes.not_done.append(f"Policy {policy.id} was not applied, because an object does not fit its schema.")
            continue
        for breach in breaches:
            finding = Finding.of(Kind.POLICY, policy.id, breach.violation)
            if breach.exception is None:
                notes.findings.append(finding)
            else:
                notes.exempt.append(Exempt(finding, breach.exception.value, breach.exception.reason))
