"""A small release that keeps every policy, to be changed by a test."""

import copy
import json
from collections.abc import Callable
from typing import Any

import yaml

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifests

PREDICTOR = "InferenceService/llm containers[kserve-container]"
REDIS = "Deployment/llm-redis containers[redis]"

RELEASE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: llm, labels: {app.kubernetes.io/name: lmcache-kserve}}
spec:
  predictor:
    annotations: {checksum/config: abc}
    securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
    volumes:
      - {name: lmcache-config, configMap: {name: llm-lmcache, items: [{key: lmcache.yaml, path: lmcache.yaml}]}}
    model:
      modelFormat: {name: vLLM}
      runtime: llm
      env:
        - {name: PYTHONHASHSEED, value: "0"}
        - {name: REMOTE_BACKEND_PASSWORD, valueFrom: {secretKeyRef: {name: llm-redis, key: password}}}
      resources: {requests: {cpu: 1}, limits: {memory: 6Gi}}
      volumeMounts: [{name: lmcache-config, mountPath: /lmcache}, {name: devshm, mountPath: /dev/shm}]
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: llm}
spec:
  supportedModelFormats: [{name: vLLM}]
  containers:
    - name: kserve-container
      image: example.com:5000/vllm:0.32.0
      args: [--port=8080]
      ports: [{name: http, containerPort: 8080}]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
  volumes: [{name: devshm, emptyDir: {medium: Memory}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm-redis, labels: {app.kubernetes.io/component: remote-backend}}
spec:
  selector: {matchLabels: {app.kubernetes.io/component: remote-backend}}
  template:
    metadata: {labels: {app.kubernetes.io/component: remote-backend}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: redis
          image: redis@sha256:0123
          env: [{name: A, value: "1"}]
          ports: [{name: redis, containerPort: 6379}]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: llm-lmcache}
data: {lmcache.yaml: "remote_url: redis://llm-redis:6379"}
---
apiVersion: v1
kind: Secret
metadata: {name: llm-redis}
stringData: {password: "p@ssword/1", username: default-user}
---
apiVersion: v1
kind: Service
metadata: {name: llm-redis}
spec: {selector: {app.kubernetes.io/component: remote-backend}, ports: [{port: 6379}]}
"""


class Release:
    """The objects above, to be changed by a test."""

    def __init__(self) -> None:
        objects = [copy.deepcopy(item) for item in yaml.safe_load_all(RELEASE)]
        self.service, self.runtime, self.deployment, self.config_map, self.secret, self.service_object = objects
        self.objects = objects

    @property
    def predictor(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service["spec"]["predictor"]
        return found

    @property
    def model(self) -> dict[str, Any]:
        found: dict[str, Any] = self.predictor["model"]
        return found

    @property
    def runtime_container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.runtime["spec"]["containers"][0]
        return found

    @property
    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.deployment["spec"]["template"]["spec"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.pod["containers"][0]
        return found

    def manifests(self) -> Manifests:
        return Manifests.parse("\n---\n".join(json.dumps(item) for item in self.objects))

    def judged_by(self, judge: policies.Judge) -> list[str]:
        return [f"{violation.object} {violation.path}" for violation in judge(self.manifests())]


Change = Callable[[Release], object]


def volume(name: str, **source: Any) -> dict[str, Any]:
    return {"name": name, **source}
