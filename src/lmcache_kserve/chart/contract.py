"""The names that the chart writes and the harness reads: labels, annotations, components, containers and ports.

The chart's templates write each name; tests/chart/test_contract.py finds each name in what they render.
"""

CHART = "lmcache-kserve"
"""The chart's name in its Chart.yaml."""

INSTANCE_LABEL = "app.kubernetes.io/instance"
"""Label of every object: the name of the Helm release."""

COMPONENT_LABEL = "app.kubernetes.io/component"
"""Label of every object: the part of the release that it belongs to, as below."""

PREDICTOR_COMPONENT = "predictor"
BACKEND_COMPONENT = "remote-backend"
CACHE_SERVER_COMPONENT = "cache-server"
"""The DaemonSet of LMCache servers in mode multiprocess."""
TEST_COMPONENT = "test"
"""What `helm test` runs, and what lets it reach the replicas."""
WARM_UP_COMPONENT = "warm-up"
"""The Job that sends known prompts after an installation or an upgrade."""

PART_LABEL = "lmcache-kserve/part"
"""Label of the pods of a backend that has several workloads: which workload a pod belongs to."""

CHART_LABEL = "helm.sh/chart"
"""Label of the ServingRuntime: the chart's name and version, `lmcache-kserve-0.2.0`.

KServe copies the labels of an InferenceService to the pods, where a new version would restart them. KServe copies only
the labels in a ServingRuntime's spec.
"""

BACKEND_ANNOTATION = "lmcache-kserve/remote-backend"
"""Annotation of the InferenceService: the value of `remoteBackend.type`."""

MODE_ANNOTATION = "lmcache-kserve/mode"
"""Annotation of the InferenceService: the value of `lmcache.mode`, or `none` while LMCache is off."""

OLDEST_KSERVE_ANNOTATION = "lmcache-kserve/oldest-kserve"
NEWEST_KSERVE_ANNOTATION = "lmcache-kserve/newest-kserve"
"""Annotations of Chart.yaml: the oldest and the newest KServe release that the chart knows, as major.minor."""

PREDICTOR_CONTAINER = "kserve-container"
"""The container that serves the model; KServe looks for this name."""

SERVER_CONTAINER = "lmcache-server"
"""The container that runs `lmcache server`, in the predictor's pod or in a pod of the node."""

EXPORTER_CONTAINER = "exporter"
"""The container that serves Prometheus metrics of the server beside it."""

METRICS_PORT = "metrics"
"""The container port with a backend's Prometheus metrics."""

SERVER_METRICS_PORT = "lmcache-metrics"
"""The container port with the Prometheus metrics of LMCache's server."""

SHARED_SEGMENT = "lmcache_l1_pool_chart_"
"""Start of the name in /dev/shm that files/shared_mp_server.py gives a server's memory; its process id follows."""


KSERVE_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
KSERVE_COMPONENT_LABEL = "component"


def predictor_labels(service: str) -> dict[str, str]:
    """The labels that KServe gives the pods of the predictor of an InferenceService; no template writes them."""
    return {KSERVE_SERVICE_LABEL: service, KSERVE_COMPONENT_LABEL: PREDICTOR_COMPONENT}


def chart_version(label: str | None) -> str | None:
    """The version in a value of `CHART_LABEL`; None where the value names no version of this chart."""
    name, _, version = (label or "").partition(f"{CHART}-")
    return version.replace("_", "+") if version and not name else None
