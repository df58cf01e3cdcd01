{{/*
Mooncake Store: a master that knows where chunks lie, with the metadata server in its process, and stores that lend their
memory. The predictor lends none, so that its end loses no chunk. Names of its settings: `setup(dict)` of mooncake.store
(mooncake-transfer-engine 0.3.13), which LMCache fills from `mooncake_*`. That one wants `master_server_addr` and
`rdma_devices`, its older form `master_server_address` and `device_name`, and each ignores the other's.
*/}}

{{- define "lmcache-kserve.backend.mooncake.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "mooncake") -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.port" -}}
50051
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.metadataPort" -}}
8080
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.metricsPort" -}}
9003
{{- end }}

{{/* Ports of the stores' transfers, which they choose themselves. JSON dict. */}}
{{- define "lmcache-kserve.backend.mooncake.transferPorts" -}}
{"first": 15000, "last": 15999}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.deployed" -}}
{{- if .Values.remoteBackend.mooncake.deploy }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.host" -}}
{{ include "lmcache-kserve.backend.mooncake.name" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.endpoint" -}}
{{- if include "lmcache-kserve.backend.mooncake.deployed" . -}}
{{ include "lmcache-kserve.backend.mooncake.host" . }}:{{ include "lmcache-kserve.backend.mooncake.port" . }}
{{- else -}}
{{ .Values.remoteBackend.mooncake.external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.metadataServer" -}}
{{- if include "lmcache-kserve.backend.mooncake.deployed" . -}}
http://{{ include "lmcache-kserve.backend.mooncake.host" . }}:{{ include "lmcache-kserve.backend.mooncake.metadataPort" . }}/metadata
{{- else -}}
{{ .Values.remoteBackend.mooncake.external.metadataServer }}
{{- end -}}
{{- end }}

{{/* Of the deployed form alone: where the stores of an external one listen, only its owner knows. */}}
{{- define "lmcache-kserve.backend.mooncake.ports" -}}
{{- if include "lmcache-kserve.backend.mooncake.deployed" . -}}
{{- $transfers := include "lmcache-kserve.backend.mooncake.transferPorts" . | fromJson -}}
{{- list
      (include "lmcache-kserve.backend.mooncake.port" . | int)
      (include "lmcache-kserve.backend.mooncake.metadataPort" . | int)
      (printf "%d-%d" (int $transfers.first) (int $transfers.last)) | toJson -}}
{{- else -}}
{{- list (include "lmcache-kserve.backend.mooncake.endpoint" . | splitList ":" | last | int) | toJson -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.credentials" }}{{ end }}

{{- define "lmcache-kserve.backend.mooncake.config" -}}
{{- $values := .Values.remoteBackend.mooncake -}}
{{- $master := include "lmcache-kserve.backend.mooncake.endpoint" . -}}
remote_serde: {{ .Values.lmcache.serde }}
remote_storage_plugins:
  - mooncake
extra_config:
  remote_storage_plugin.mooncake.module_path: {{ include "lmcache-kserve.backend.mooncake.module" . }}
  remote_storage_plugin.mooncake.class_name: CheckedMooncakeConnector
  mooncake_local_hostname: $(POD_IP)
  mooncake_master_server_addr: {{ $master | quote }}
  mooncake_master_server_address: {{ $master | quote }}
  mooncake_metadata_server: {{ include "lmcache-kserve.backend.mooncake.metadataServer" . | quote }}
  mooncake_protocol: {{ $values.protocol }}
  mooncake_rdma_devices: {{ $values.rdma.devices | quote }}
  mooncake_device_name: {{ $values.rdma.devices | quote }}
  mooncake_global_segment_size: "0"
  mooncake_local_buffer_size: {{ include "lmcache-kserve.bytes" $values.localBuffer | trim | quote }}
  transfer_timeout: {{ int $values.transferTimeoutSeconds }}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.module" }}checked_mooncake{{ end }}
{{- define "lmcache-kserve.backend.mooncake.env" }}{{ end }}
{{- define "lmcache-kserve.backend.mooncake.volumes" }}{{ end }}
{{- define "lmcache-kserve.backend.mooncake.volumeMounts" }}{{ end }}
{{- define "lmcache-kserve.backend.mooncake.l2Adapter" }}{{ end }}
{{- define "lmcache-kserve.backend.mooncake.l2Env" }}{{ end }}
{{- define "lmcache-kserve.backend.mooncake.secretChecksum" }}{{ end }}
{{- define "lmcache-kserve.backend.mooncake.generatedPassword" }}{{ end }}

{{/* Memory that one store lends, in bytes. */}}
{{- define "lmcache-kserve.backend.mooncake.segment" -}}
{{- $store := .Values.remoteBackend.mooncake.store -}}
{{- if $store.segmentSize -}}
{{- include "lmcache-kserve.bytes" $store.segmentSize | trim -}}
{{- else -}}
{{- div (mul (include "lmcache-kserve.bytes" (dig "limits" "memory" "" $store.resources) | int64) 8) 10 -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.problems" -}}
{{- $values := .Values.remoteBackend.mooncake -}}
{{- if include "lmcache-kserve.predictor.knative" . }}
remoteBackend.type: mooncake works in Standard mode only; Knative has no pod address in the environment
{{- end }}
{{- if not (include "lmcache-kserve.lmcache.knowsPlugins" .) }}
lmcache.version: {{ include "lmcache-kserve.lmcache.version" . }} is older than 0.4.7, the first whose Mooncake connector takes these settings
{{- end }}
{{- if and (not .Values.runtime.image.repository) (eq .Values.runtime.server "huggingfaceserver") }}
runtime.image.repository: KServe's image has no mooncake-transfer-engine; name one that has it, as images/kserve-backends builds
{{- end }}
{{- if ne .Values.lmcache.kvLoadFailurePolicy "recompute" }}
lmcache.kvLoadFailurePolicy: must be recompute; until the master notices the end of a store it finds chunks that are gone, and each request that needs one would fail
{{- end }}
{{- if hasKey .Values.lmcache.config "remote_storage_plugins" }}
lmcache.config.remote_storage_plugins: is set through remoteBackend.type mooncake; to use another connector choose the type custom
{{- end }}
{{- if eq (include "lmcache-kserve.bytes" $values.localBuffer | int64) 0 }}
remoteBackend.mooncake.localBuffer: {{ $values.localBuffer | quote }} is not a quantity above zero, such as 1Gi
{{- end }}
{{- if eq $values.protocol "rdma" }}
{{- if not $values.rdma.resourceName }}
remoteBackend.mooncake.rdma.resourceName: is required with remoteBackend.mooncake.protocol rdma; it is what the RDMA device plugin calls the devices, such as rdma/hca
{{- else if not (hasKey .Values.predictor.resources.limits $values.rdma.resourceName) }}
predictor.resources.limits: must have {{ $values.rdma.resourceName }}, of remoteBackend.mooncake.rdma.resourceName, because LMCache's side needs a device too
{{- end }}
{{- else if or $values.rdma.devices $values.rdma.resourceName }}
remoteBackend.mooncake.rdma: is used with remoteBackend.mooncake.protocol rdma only
{{- end }}
{{- if $values.deploy }}
{{- if or $values.external.endpoint $values.external.metadataServer }}
remoteBackend.mooncake.external.endpoint: names a master, but remoteBackend.mooncake.deploy is true; set it to false to use that master
{{- end }}
{{- if and (or $values.image.tag $values.image.digest) (not $values.image.repository) }}
remoteBackend.mooncake.image.repository: is required when its tag or digest is set
{{- end }}
{{- if and $values.image.repository (not (or $values.image.tag $values.image.digest)) }}
remoteBackend.mooncake.image.tag: is required with remoteBackend.mooncake.image.repository, unless digest is set
{{- end }}
{{- $limit := dig "limits" "memory" "" $values.store.resources -}}
{{- if not (or $values.store.segmentSize $limit) }}
remoteBackend.mooncake.store.resources.limits.memory: is needed to size the cache, or set remoteBackend.mooncake.store.segmentSize
{{- else if eq (include "lmcache-kserve.backend.mooncake.segment" . | int64) 0 }}
remoteBackend.mooncake.store.{{ ternary "segmentSize" "resources.limits.memory" (not (empty $values.store.segmentSize)) }}: is not a quantity above zero, such as 32Gi
{{- else if and $limit (ge (include "lmcache-kserve.backend.mooncake.segment" . | int64) (include "lmcache-kserve.bytes" $limit | int64)) }}
remoteBackend.mooncake.store.segmentSize: does not fit into remoteBackend.mooncake.store.resources.limits.memory, {{ $limit }}
{{- end }}
{{- else }}
{{- if not (and $values.external.endpoint $values.external.metadataServer) }}
remoteBackend.mooncake.external: needs endpoint (host:port of the master) and metadataServer when remoteBackend.mooncake.deploy is false
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.notes" -}}
{{- if include "lmcache-kserve.backend.mooncake.deployed" . -}}
kubectl port-forward -n {{ .Release.Namespace }} deployment/{{ include "lmcache-kserve.backend.mooncake.name" . }} {{ include "lmcache-kserve.backend.mooncake.metricsPort" . }} & sleep 3
curl -s http://127.0.0.1:{{ include "lmcache-kserve.backend.mooncake.metricsPort" . }}/metrics | grep -E '^master_(key_count|allocated_bytes|total_capacity_bytes|active_clients)'; kill %1
{{- end -}}
{{- end }}

{{/* Whether the chart deploys it and it is the chosen type. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.mooncake.rendered" -}}
{{- if and (eq .Values.remoteBackend.type "mooncake") .Values.remoteBackend.mooncake.deploy }}true{{ end -}}
{{- end }}

{{/*
Labels that tell master and stores apart; both are the remote backend.
Input: dict "context" $ "role" "master".
*/}}
{{- define "lmcache-kserve.backend.mooncake.selector" -}}
{{ include "lmcache-kserve.labels.selector" (dict "context" .context "component" "remote-backend") }}
lmcache-kserve/role: {{ .role }}
{{- end }}

{{/*
Values of a pod of master or store: what they have in common, and the role among the labels.
Input: dict "context" $ "role" "master". Output: JSON dict.
*/}}
{{- define "lmcache-kserve.backend.mooncake.podValues" -}}
{{- $values := .context.Values.remoteBackend.mooncake -}}
{{- merge (dict "podLabels" (merge (dict "lmcache-kserve/role" .role) $values.podLabels)) $values | toJson -}}
{{- end }}

{{/* Image of master and store. */}}
{{- define "lmcache-kserve.backend.mooncake.image" -}}
{{- if .Values.remoteBackend.mooncake.image.repository -}}
{{ include "lmcache-kserve.image" .Values.remoteBackend.mooncake.image }}
{{- else -}}
{{ include "lmcache-kserve.images.predictor" . }}
{{- end -}}
{{- end }}
