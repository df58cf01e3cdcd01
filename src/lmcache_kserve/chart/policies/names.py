"""Names and labels keep the limits of Kubernetes and of KServe's controller."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_kserve.chart.manifests import Manifest, Manifests, Violation, describe
from lmcache_kserve.chart.policies.fields import mappings, metadata
from lmcache_kserve.chart.policies.pods import written_pods

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_STARTS_WITH_LETTER = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.{1,15}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST_NAME = {
    # The pods' label `app: isvc.<name>-predictor` has 63 characters at most.
    "InferenceService": 48,
    # The label `controller-revision-hash` is the name, a dash and ten characters.
    "StatefulSet": 52,
    "CronJob": 52,
    "Deployment": 63,
    "Job": 63,
    "Pod": 63,
    "Service": 63,
}
_LONGEST_OTHER_NAME = 253
_LONGEST_LABEL_VALUE = 63
_KSERVE_OWNER_LABEL = "serving.kserve.io/inferenceservice"


def kserve_owns_its_labels(manifests: Manifests) -> list[Violation]:
    """No object carries the two labels by which KServe's controller finds, and deletes, what it made itself."""
    return [
        Violation(
            describe(manifest),
            "metadata.labels",
            f"has both {_KSERVE_OWNER_LABEL} and component=predictor; KServe deletes such an object",
        )
        for manifest in manifests
        if _KSERVE_OWNER_LABEL in (labels := manifest["metadata"].get("labels") or {})
        and labels.get("component") == "predictor"
    ]


def names_are_valid(manifests: Manifests) -> list[Violation]:
    """Names, label keys and label values keep the limits of Kubernetes and of KServe's controller."""
    found = []
    for manifest in manifests:
        kind, name, owner = manifest["kind"], manifest["metadata"]["name"], describe(manifest)
        longest = _LONGEST_NAME.get(kind, _LONGEST_OTHER_NAME)
        if len(name) > longest:
            found.append(Violation(owner, "metadata.name", f"has {len(name)} characters; {longest} is the limit"))
        pattern = _STARTS_WITH_LETTER if kind in {"InferenceService", "Service"} else _DNS_SUBDOMAIN
        if not pattern.fullmatch(name):
            found.append(Violation(owner, "metadata.name", f"{name!r} is not a valid name for this kind"))
        for path, labels in _label_maps(manifest):
            found += [
                Violation(owner, f"{path}[{key}]", why) for key, value in labels.items() for why in _bad(key, value)
            ]
    for pod in written_pods(manifests):
        for path, container in pod.containers():
            found += [
                Violation(pod.object, f"{path}.ports", f"{port['name']!r} is not a valid port name")
                for port in container.get("ports") or ()
                if "name" in port and not _PORT_NAME.fullmatch(str(port["name"]))
            ]
    return found


def _label_maps(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every map of labels in an object, selectors included."""
    for path, block in metadata(manifest):
        yield f"{path}.labels", block.get("labels") or {}
    for path, mapping in mappings(manifest):
        if path.endswith("matchLabels"):
            yield path, mapping
    if manifest["kind"] == "Service":
        yield "spec.selector", (manifest.get("spec") or {}).get("selector") or {}


def _bad(key: object, value: object) -> Iterator[str]:
    """Why a label is not valid."""
    prefix, _, name = str(key).rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (prefix and not _DNS_SUBDOMAIN.fullmatch(prefix)):
        yield "is not a valid label key"
    if len(str(value)) > _LONGEST_LABEL_VALUE:
        yield f"has a value of {len(str(value))} characters; {_LONGEST_LABEL_VALUE} is the limit"
    elif value != "" and not _LABEL_NAME.fullmatch(str(value)):
        yield f"{value!r} is not a valid label value"
