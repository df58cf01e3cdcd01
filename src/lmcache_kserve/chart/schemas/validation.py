"""Validation of rendered objects against the schemas of one Kubernetes and one KServe version."""

import functools
import gzip
import json
import re
from collections.abc import Collection, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry

from lmcache_kserve.chart.manifests import Manifest, Manifests, Violation, describe, dotted
from lmcache_kserve.errors import HarnessError

_KSERVE_GROUP = "serving.kserve.io"
_OPERATORS = {"monitoring.coreos.com": "prometheus-operator-0.85.0", "keda.sh": "keda-2.18.3"}
"""Folders with the schemas of what `monitoring` and `predictor.autoscaling.preset` render, by API group."""
_KSERVE_FOLDER = re.compile(r"kserve-(?P<version>\d+\.\d+\.\d+)")
_KUBERNETES_FOLDER = re.compile(r"v(?P<version>\d+\.\d+)\.\d+-local-strict")
_LONGEST_MESSAGE = 300
# The only key of a Kubernetes list map that may be left out: a port's protocol.
_LIST_KEY_DEFAULTS = {"protocol": "TCP"}


class SchemaError(HarnessError):
    """Rendered objects that an API server would refuse.

    Attributes:
        violations: every problem of every object.
    """

    def __init__(self, violations: Collection[Violation], *, versions: str) -> None:
        lines = "\n".join(f"- {violation}" for violation in violations)
        super().__init__(f"the rendered objects do not fit the schemas of {versions}:\n{lines}")
        self.violations = tuple(violations)


def _kubernetes_schemas() -> Traversable:
    return resources.files("kubernetes_validate") / "kubernetes-json-schema"


def _versions(folder: Traversable, pattern: re.Pattern[str]) -> dict[str, Traversable]:
    """Folders of schemas by version, oldest first."""
    found = {match["version"]: entry for entry in folder.iterdir() if (match := pattern.fullmatch(entry.name))}
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


_KUBERNETES = _versions(_kubernetes_schemas(), _KUBERNETES_FOLDER)
_KSERVE = _versions(resources.files(__package__ or ""), _KSERVE_FOLDER)

KUBERNETES_VERSIONS = tuple(_KUBERNETES)
"""Kubernetes versions with schemas, oldest first: `1.34`."""

KSERVE_VERSIONS = tuple(_KSERVE)
"""KServe releases with schemas, oldest first: `0.20.0`."""


def validate(
    manifests: Manifests, *, kubernetes_version: str, kserve_version: str, without_schema: Collection[str] = ()
) -> None:
    """Check every object.

    Args:
        manifests: what was rendered.
        kubernetes_version: `1.34` or `1.34.2`.
        kserve_version: a release (`0.20.0`), or its minor version (`0.20`).
        without_schema: kinds that may pass unchecked, because they belong to an operator whose schemas are not here.

    Raises:
        SchemaError: at least one object does not fit; all problems are listed.
        HarnessError: the schemas of one of the versions are not here.
    """
    found = violations(
        manifests,
        kubernetes_version=kubernetes_version,
        kserve_version=kserve_version,
        without_schema=without_schema,
    )
    if found:
        raise SchemaError(found, versions=f"Kubernetes {kubernetes_version} and KServe {kserve_version}")


def violations(
    manifests: Manifests, *, kubernetes_version: str, kserve_version: str, without_schema: Collection[str] = ()
) -> list[Violation]:
    """What `validate` would refuse.

    Raises:
        HarnessError: the schemas of one of the versions are not here.
    """
    kubernetes = _require("Kubernetes", kubernetes_version, KUBERNETES_VERSIONS)
    kserve = _require("KServe", kserve_version, KSERVE_VERSIONS)
    found: list[Violation] = []
    for manifest in manifests:
        validator = _validator(manifest["apiVersion"], manifest["kind"], kubernetes, kserve)
        if validator is not None:
            found += _violations(validator, manifest)
        elif manifest["kind"] not in without_schema:
            message = f"Kubernetes {kubernetes} and KServe {kserve} know no such kind in {manifest['apiVersion']}"
            found.append(Violation(describe(manifest), "kind", message))
    return found


def pick(wanted: str, available: Sequence[str]) -> str | None:
    """The newest available version with all the parts that both sides state, or None where no version fits.

    Args:
        wanted: `1.34`, `1.34.2` or `v1.34.2`.
        available: versions, oldest first.
    """
    parts = wanted.removeprefix("v").split(".")
    fitting = (
        version
        for version in reversed(available)
        if all(a == b for a, b in zip(version.split("."), parts, strict=False))
    )
    return next(fitting, None)


def belongs_to_an_operator(manifest: Manifest) -> bool:
    """Whether an object's kind is of an operator whose schemas are not here."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    return _foreign(group) and not _operator_file(group, manifest["kind"], version)


def of_kserve(manifest: Manifest) -> bool:
    """Whether a schema of KServe judges an object, and not one of Kubernetes."""
    return bool(manifest["apiVersion"].rpartition("/")[0] == _KSERVE_GROUP)


def _foreign(group: str) -> bool:
    return group != _KSERVE_GROUP and "." in group and not group.endswith(".k8s.io")


def _require(product: str, wanted: str, available: tuple[str, ...]) -> str:
    if (version := pick(wanted, available)) is None:
        raise HarnessError(f"there are no schemas of {product} {wanted}; there are {', '.join(available)}")
    return version


def _violations(validator: Draft202012Validator, manifest: Manifest) -> Iterator[Violation]:
    for error in sorted(validator.iter_errors(manifest), key=lambda error: [str(step) for step in error.instance_path]):
        message = error.message
        if len(message) > _LONGEST_MESSAGE:
            message = f"{message[:_LONGEST_MESSAGE]} ..."
        yield Violation(describe(manifest), dotted(error.instance_path), message)


@functools.cache
def _validator(api_version: str, kind: str, kubernetes: str, kserve: str) -> Draft202012Validator | None:
    """A ready validator, or None for a kind that has no schema."""
    group, _, version = api_version.rpartition("/")
    if group == _KSERVE_GROUP:
        return _packed(_KSERVE[kserve] / f"{kind.lower()}-{version}.json.gz")
    if file := _operator_file(group, kind, version):
        return _packed(file)
    # kubernetes-validate names its files by the first label of the group; groups of operators must not match by it.
    if _foreign(group):
        return None
    return _kubernetes_validator(kind, "-".join(filter(None, (group.partition(".")[0], version))), kubernetes)


def _operator_file(group: str, kind: str, version: str) -> Traversable | None:
    if group not in _OPERATORS:
        return None
    file = resources.files(__package__ or "") / _OPERATORS[group] / f"{kind.lower()}-{version}.json.gz"
    return file if file.is_file() else None


def _packed(file: Traversable) -> Draft202012Validator | None:
    """The validator of a schema that is stored here."""
    return _strict(json.loads(gzip.decompress(file.read_bytes()))) if file.is_file() else None


def _kubernetes_validator(kind: str, version: str, kubernetes: str) -> Draft202012Validator | None:
    file = _KUBERNETES[kubernetes] / f"{kind.lower()}-{version}.json"
    if not file.is_file():
        return None
    # The messages repeat values, and messages end up in logs.
    mask = "the value" if kind == "Secret" else None
    return _strict(json.loads(file.read_text(encoding="utf-8")), registry=_definitions(kubernetes), mask=mask)


@functools.cache
def _definitions(kubernetes: str) -> Registry:
    """The types that the schemas of one Kubernetes version share."""
    contents = json.loads((_KUBERNETES[kubernetes] / "_definitions.json").read_text(encoding="utf-8"))
    return Registry([(contents["$id"], contents)])


def _strict(
    schema: dict[str, Any], *, registry: Registry | None = None, mask: str | None = None
) -> Draft202012Validator:
    keywords: dict[str, Any] = {"x-kubernetes-list-map-keys": _UniqueKeys}
    return Draft202012Validator(schema, registry=registry, mask=mask, keywords=keywords)


class _UniqueKeys:
    """Refuses a list that has the same key twice: server-side apply, Helm 4's default, does."""

    def __init__(self, _schema: dict[str, Any], keys: list[str], _path: list[str | int]) -> None:
        self._keys = keys

    def validate(self, items: object) -> None:
        """Raise the first problem.

        Raises:
            ValueError: the list has the same key twice.
        """
        for error in self.iter_errors(items):
            raise error

    def iter_errors(self, items: object) -> Iterator[ValueError]:
        """Each entry whose key an earlier one has."""
        seen: set[tuple[object, ...]] = set()
        for item in items if isinstance(items, list) else ():
            if not isinstance(item, dict):
                continue
            identity = tuple(item.get(key, _LIST_KEY_DEFAULTS.get(key)) for key in self._keys)
            if identity in seen:
                stated = ", ".join(f"{key}={value}" for key, value in zip(self._keys, identity, strict=True))
                yield ValueError(f"duplicate entry for {stated}")
            seen.add(identity)
