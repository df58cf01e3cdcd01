"""Rules that every render of the chart keeps and that no schema states: what runs, runs restricted, bounded and pinned.

A policy is a function from rendered objects to violations. Policies about what a pod ends up with judge the
predictor's pod as KServe builds it, because an InferenceService and its ServingRuntime each hold one half; policies
about what is written judge each half by itself, because merging would hide a duplicate.
"""

import base64
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lmcache_kserve.chart.contract import PREDICTOR_CONTAINER
from lmcache_kserve.chart.manifests import Manifest, Manifests, Violation, describe
from lmcache_kserve.chart.predictor import predictor_pod

Policy = Callable[[Manifests], list[Violation]]

# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
_RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SECCOMP_PROFILES = frozenset({"RuntimeDefault", "Localhost"})
_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
_UNIQUE_WITHIN_CONTAINER = {"env": ("name",), "ports": ("containerPort", "protocol"), "volumeMounts": ("mountPath",)}

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

_SHORTEST_SECRET = 6  # shorter values turn up in other texts by chance
# A password; placeholders of shells, format strings and templates are none.
_URL_CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@{}$<>()*]+@")
_NOT_SECRET_KEY = re.compile(r"user(name)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Pod:
    """A pod spec and the object it belongs to."""

    object: str
    spec: Mapping[str, Any]

    def containers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every container with its path; of a predictor also `model`, a container without a name."""
        if isinstance(model := self.spec.get("model"), dict):
            yield "model", model
        for list_name in _CONTAINER_LISTS:
            for container in self.spec.get(list_name) or ():
                yield f"{list_name}[{container.get('name')}]", container


def check(manifests: Manifests, *, external: Collection[str] = ()) -> list[Violation]:
    """Apply every policy.

    Args:
        manifests: what was rendered.
        external: names of Secrets, ConfigMaps and claims that exist in the namespace without being rendered.
    """
    found = [violation for policy in POLICIES for violation in policy(manifests)]
    return found + references_exist(manifests, external=external)


def restricted_pod_security(manifests: Manifests) -> list[Violation]:
    """Every pod is admitted to a namespace that enforces the restricted Pod Security Standard."""
    found = []
    for pod in _running_pods(manifests):
        found += [Violation(pod.object, path, message) for path, message in _unrestricted_pod(pod.spec)]
        for path, container in pod.containers():
            found += [
                Violation(pod.object, f"{path}.{where}", message)
                for where, message in _unrestricted_container(container, pod.spec.get("securityContext") or {})
            ]
    return found


def env_values_are_strings(manifests: Manifests) -> list[Violation]:
    """Values of environment variables, labels and annotations are strings; YAML makes others of an unquoted value."""
    found = []
    for pod in _written_pods(manifests):
        for path, container in pod.containers():
            found += [
                Violation(
                    pod.object, f"{path}.env[{variable.get('name')}].value", f"{variable['value']!r} is no string"
                )
                for variable in container.get("env") or ()
                if "value" in variable and not isinstance(variable["value"], str)
            ]
    for manifest in manifests:
        for path, metadata in _metadata(manifest):
            for field in ("labels", "annotations"):
                found += [
                    Violation(describe(manifest), f"{path}.{field}[{key}]", f"{value!r} is no string")
                    for key, value in (metadata.get(field) or {}).items()
                    if not isinstance(value, str)
                ]
    return found


def no_duplicates(manifests: Manifests) -> list[Violation]:
    """Nothing that has a key is listed twice; Helm 4 applies on the server side, which refuses it."""
    found: list[Violation] = []
    for pod in _written_pods(manifests):
        found += _duplicates(pod, "volumes", pod.spec.get("volumes") or (), ("name",))
        every_container = [container for path, container in pod.containers() if path != "model"]
        found += _duplicates(pod, "containers", every_container, ("name",))
        for path, container in pod.containers():
            for field, keys in _UNIQUE_WITHIN_CONTAINER.items():
                found += _duplicates(pod, f"{path}.{field}", container.get(field) or (), keys)
    return found


def mounts_have_volumes(manifests: Manifests) -> list[Violation]:
    """Every volume mount names a volume of its pod."""
    found = []
    for pod in _running_pods(manifests):
        volumes = {volume.get("name") for volume in pod.spec.get("volumes") or ()}
        if isinstance(templates := pod.spec.get(_CLAIM_TEMPLATES), list):
            volumes |= {template["metadata"]["name"] for template in templates}
        for path, container in pod.containers():
            found += [
                Violation(
                    pod.object, f"{path}.volumeMounts[{mount.get('mountPath')}]", f"no volume {mount.get('name')}"
                )
                for mount in container.get("volumeMounts") or ()
                if mount.get("name") not in volumes
            ]
    return found


def references_exist(manifests: Manifests, *, external: Collection[str] = ()) -> list[Violation]:
    """What a pod refers to is rendered, or named as external, or optional."""
    keys: dict[tuple[str, str], set[str]] = {}
    for manifest in manifests:
        fields = ("data", "stringData", "binaryData")
        keys[manifest["kind"], manifest["metadata"]["name"]] = {key for f in fields for key in manifest.get(f) or ()}
    found = []
    for pod in _running_pods(manifests):
        for path, kind, name, wanted in _references(pod):
            if name in external:
                continue
            if (kind, name) not in keys:
                found.append(Violation(pod.object, path, f"{kind} {name} is not rendered"))
            elif missing := wanted - keys[kind, name]:
                found.append(Violation(pod.object, path, f"{kind} {name} has no key {', '.join(sorted(missing))}"))
    return found


def images_are_pinned(manifests: Manifests) -> list[Violation]:
    """Every image has a digest, or a tag other than `latest`."""
    found = []
    for pod in _running_pods(manifests):
        for path, container in pod.containers():
            image = str(container.get("image") or "")
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in {"", "latest"}:
                found.append(Violation(pod.object, f"{path}.image", f"{image or 'no image'} is not pinned"))
    return found


def memory_is_bounded(manifests: Manifests) -> list[Violation]:
    """Every container requests CPU and memory and has a memory limit."""
    wanted = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
    found = []
    for pod in _running_pods(manifests):
        for path, container in pod.containers():
            resources = container.get("resources") or {}
            for kind, name in wanted:
                # A limit without a request is a request too.
                stated = {**(resources.get("limits") or {}), **(resources.get(kind) or {})}
                if name not in (stated if kind == "requests" else resources.get("limits") or {}):
                    found.append(Violation(pod.object, f"{path}.resources.{kind}.{name}", "is not set"))
    return found


def secrets_stay_secret(manifests: Manifests) -> list[Violation]:
    """No Secret's value and no URL with a password stands where people without access to Secrets can read it."""
    secrets = set(_secret_values(manifests))
    found = []
    for manifest in manifests:
        for path, text in _public_texts(manifest):
            # Messages do not repeat the text: they end up in logs.
            if any(secret in text for secret in secrets):
                found.append(Violation(describe(manifest), path, "contains the value of a Secret"))
            elif _URL_CREDENTIALS.search(text):
                found.append(Violation(describe(manifest), path, "contains a URL with a password"))
    return found


def kserve_owns_its_labels(manifests: Manifests) -> list[Violation]:
    """No object carries the two labels by which KServe's controller finds, and deletes, what it made itself."""
    return [
        Violation(describe(manifest), "metadata.labels", f"has both {_KSERVE_OWNER_LABEL} and component=predictor")
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
            found.append(Violation(owner, "metadata.name", f"{name!r} is no valid name for this kind"))
        for path, labels in _label_maps(manifest):
            found += [
                Violation(owner, f"{path}[{key}]", why) for key, value in labels.items() for why in _bad(key, value)
            ]
    for pod in _written_pods(manifests):
        for path, container in pod.containers():
            found += [
                Violation(pod.object, f"{path}.ports", f"{port['name']!r} is no valid port name")
                for port in container.get("ports") or ()
                if "name" in port and not _PORT_NAME.fullmatch(str(port["name"]))
            ]
    return found


def hash_seed_is_fixed(manifests: Manifests) -> list[Violation]:
    """Every predictor sets PYTHONHASHSEED to a number; without it replicas compute different cache keys."""
    found = []
    for pod in _running_pods(manifests):
        if not pod.object.startswith("InferenceService/"):
            continue
        for path, container in pod.containers():
            if path != f"containers[{PREDICTOR_CONTAINER}]":
                continue
            seed = {variable.get("name"): variable.get("value") for variable in container.get("env") or ()}.get(_SEED)
            if not str(seed).isdecimal():
                found.append(Violation(pod.object, f"{path}.env[{_SEED}]", "is not set to a number"))
    return found


def nothing_is_null(manifests: Manifests) -> list[Violation]:
    """No field is null: a template that renders one has lost its value, and an apply would claim the field."""
    return [
        Violation(describe(manifest), path, "is null")
        for manifest in manifests
        for path, value in _walk(manifest)
        if value is None
    ]


POLICIES: tuple[Policy, ...] = (
    restricted_pod_security,
    env_values_are_strings,
    no_duplicates,
    mounts_have_volumes,
    images_are_pinned,
    memory_is_bounded,
    secrets_stay_secret,
    kserve_owns_its_labels,
    names_are_valid,
    hash_seed_is_fixed,
    nothing_is_null,
)
"""Every policy that needs nothing but the rendered objects; `references_exist` is the one that knows of others."""

_SEED = "PYTHONHASHSEED"
_CLAIM_TEMPLATES = "volumeClaimTemplates"


def _written_pods(manifests: Manifests) -> Iterator[_Pod]:
    """Pod specs as they are written, an InferenceService and its ServingRuntime apart."""
    for owner, spec in manifests.pod_specs():
        yield _Pod(describe(owner), spec)


def _running_pods(manifests: Manifests) -> Iterator[_Pod]:
    """Pod specs as they will run: the halves of a predictor merged as KServe's controller merges them."""
    services = manifests.of_kind("InferenceService")
    runtimes = {runtime["metadata"]["name"]: runtime for runtime in manifests.of_kind("ServingRuntime")}
    used = {(service["spec"]["predictor"].get("model") or {}).get("runtime") for service in services}
    for owner, spec in manifests.pod_specs():
        if owner["kind"] == "InferenceService":
            runtime = runtimes.get((spec.get("model") or {}).get("runtime", ""))
            yield _Pod(describe(owner), _predictor(owner, runtime))
        elif owner["kind"] == "StatefulSet":
            yield _Pod(describe(owner), {**spec, _CLAIM_TEMPLATES: owner["spec"].get(_CLAIM_TEMPLATES) or []})
        elif owner["kind"] != "ServingRuntime" or owner["metadata"]["name"] not in used:
            yield _Pod(describe(owner), spec)


def _predictor(service: Manifest, runtime: Manifest | None) -> Mapping[str, Any]:
    if runtime is not None:
        return predictor_pod(Manifests(objects=(service, runtime), text="")).spec
    # The runtime belongs to the cluster; what can be judged is what the service itself states.
    predictor = dict(service["spec"]["predictor"])
    if (model := predictor.pop("model", None)) is not None:
        predictor["containers"] = [{**model, "name": PREDICTOR_CONTAINER}, *(predictor.get("containers") or ())]
    return predictor


def _unrestricted_pod(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("hostIPC", "hostNetwork", "hostPID"):
        if spec.get(field):
            yield field, "must not be true"
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        yield "securityContext.runAsUser", "must not be 0"
    for volume in spec.get("volumes") or ():
        if not set(volume) - {"name"} <= _RESTRICTED_VOLUMES:
            kinds = ", ".join(sorted(set(volume) - {"name"} - _RESTRICTED_VOLUMES))
            yield f"volumes[{volume.get('name')}]", f"type {kinds} is not allowed"


def _unrestricted_container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    own = container.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    seccomp = (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    rules = {
        "privileged": (not own.get("privileged"), "must not be true"),
        "allowPrivilegeEscalation": (own.get("allowPrivilegeEscalation") is False, "must be false"),
        "capabilities.drop": ("ALL" in (capabilities.get("drop") or ()), "must contain ALL"),
        "capabilities.add": (set(capabilities.get("add") or ()) <= {"NET_BIND_SERVICE"}, "adds too much"),
        "runAsNonRoot": (own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True, "must be true, here or for the pod"),
        "runAsUser": (own.get("runAsUser") != 0, "must not be 0"),
        "seccompProfile.type": (seccomp in _SECCOMP_PROFILES, "must be RuntimeDefault, here or for the pod"),
        "procMount": (own.get("procMount", "Default") == "Default", "must be Default"),
    }
    for field, (kept, message) in rules.items():
        if not kept:
            yield f"securityContext.{field}", message
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield f"ports[{port.get('containerPort')}].hostPort", "must not be set"


def _duplicates(pod: _Pod, path: str, items: Iterable[Mapping[str, Any]], keys: tuple[str, ...]) -> Iterator[Violation]:
    seen = set()
    for item in items:
        identity = tuple(str(item.get(key, "TCP" if key == "protocol" else None)) for key in keys)
        if identity in seen:
            yield Violation(pod.object, f"{path}[{' '.join(identity)}]", "is listed twice")
        seen.add(identity)


def _references(pod: _Pod) -> Iterator[tuple[str, str, str, set[str]]]:
    """What a pod needs to start: path, kind, name and keys."""
    for volume in pod.spec.get("volumes") or ():
        path = f"volumes[{volume.get('name')}]"
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            yield from _required(path, source, {"configMap": "ConfigMap", "secret": "Secret"})
        if claim := volume.get("persistentVolumeClaim"):
            yield path, "PersistentVolumeClaim", claim["claimName"], set()
    for path, container in pod.containers():
        for variable in container.get("env") or ():
            kinds = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
            yield from _required(f"{path}.env[{variable['name']}]", variable.get("valueFrom") or {}, kinds)
        for entry in container.get("envFrom") or ():
            yield from _required(f"{path}.envFrom", entry, {"configMapRef": "ConfigMap", "secretRef": "Secret"})


def _required(
    path: str, source: Mapping[str, Any], kinds: Mapping[str, str]
) -> Iterator[tuple[str, str, str, set[str]]]:
    """The references of one source, by the field that holds each, unless they are optional."""
    for field, kind in kinds.items():
        reference = source.get(field)
        if not reference or reference.get("optional"):
            continue
        keys = {item["key"] for item in reference.get("items") or ()}
        if "key" in reference:
            keys.add(reference["key"])
        yield path, kind, reference.get("name") or reference.get("secretName", ""), keys


def _secret_values(manifests: Manifests) -> Iterator[str]:
    """What must not be read elsewhere, as it is and as it would stand in a URL."""
    for secret in manifests.of_kind("Secret"):
        plain = dict(secret.get("stringData") or {})
        for key, encoded in (secret.get("data") or {}).items():
            plain[key] = base64.b64decode(encoded).decode(errors="replace")
        for key, value in plain.items():
            if len(value) >= _SHORTEST_SECRET and not _NOT_SECRET_KEY.search(key):
                yield value
                yield quote(value, safe="")


def _public_texts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every text of an object that people without access to Secrets can read."""
    if manifest["kind"] == "Secret":
        yield from ((path, text) for path, text in _walk(manifest["metadata"], "metadata") if isinstance(text, str))
        return
    yield from ((path, value) for path, value in _walk(manifest) if isinstance(value, str))


def _metadata(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The metadata of an object and of the pods it makes."""
    yield "metadata", manifest["metadata"]
    spec = manifest.get("spec") or {}
    if manifest["kind"] == "InferenceService":
        # A predictor carries its pods' labels and annotations itself.
        yield "spec.predictor", spec["predictor"]
    elif manifest["kind"] == "ServingRuntime":
        yield "spec", spec
    elif isinstance(template := spec.get("template"), dict):
        yield "spec.template.metadata", template.get("metadata") or {}


def _label_maps(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every map of labels in an object, selectors included."""
    for path, metadata in _metadata(manifest):
        yield f"{path}.labels", metadata.get("labels") or {}
    for path, value in _walk(manifest, leaves=False):
        if path.endswith("matchLabels") and isinstance(value, dict):
            yield path, value
    if manifest["kind"] == "Service":
        yield "spec.selector", (manifest.get("spec") or {}).get("selector") or {}


def _bad(key: object, value: object) -> Iterator[str]:
    """Why a label is not valid."""
    prefix, _, name = str(key).rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (prefix and not _DNS_SUBDOMAIN.fullmatch(prefix)):
        yield "is no valid label key"
    if len(str(value)) > _LONGEST_LABEL_VALUE:
        yield f"has a value of {len(str(value))} characters; {_LONGEST_LABEL_VALUE} is the limit"
    elif value != "" and not _LABEL_NAME.fullmatch(str(value)):
        yield f"{value!r} is no valid label value"


def _walk(value: object, path: str = "", *, leaves: bool = True) -> Iterator[tuple[str, object]]:
    """Every leaf below a value with its path, or every mapping and list with `leaves=False`."""
    children: Iterable[tuple[str, object]]
    if isinstance(value, dict):
        children = ((f"{path}.{key}".removeprefix("."), child) for key, child in value.items())
    elif isinstance(value, list):
        children = ((f"{path}[{index}]", child) for index, child in enumerate(value))
    else:
        if leaves:
            yield path, value
        return
    if not leaves:
        yield path, value
    for child_path, child in children:
        yield from _walk(child, child_path, leaves=leaves)
