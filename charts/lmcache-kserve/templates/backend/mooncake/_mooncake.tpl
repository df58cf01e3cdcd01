{{/*
Mooncake Store: a master that knows where chunks lie, with the metadata server in its process, and stores that lend their
memory. The predictor lends no memory, so that its end loses no chunk. The names of settings are those of `setup(dict)` of
mooncake.store (mooncake-transfer-engine 0.3.13), which LMCache fills from `mooncake_*`. That form wants `master_server_addr` and
`rdma_devices`; its older form wants `master_server_address` and `device_name`. Each form ignores the other's names.
*/}}

{{- define "lmcache-kserve.backend.mooncake.answers" -}}
mooncake: [config, endpoint, metrics, module, notes, ports, problems]
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

{{/* Range from which the stores choose the ports of their transfers. Output: JSON dict. */}}
{{- define "lmcache-kserve.backend.mooncake.transferPorts" -}}
{"first": 15000, "last": 15999}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.endpoint" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
{{ include "lmcache-kserve.backend.host" . }}:{{ include "lmcache-kserve.backend.mooncake.port" . }}
{{- else -}}
{{ .Values.remoteBackend.mooncake.external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.metadataServer" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
http://{{ include "lmcache-kserve.backend.host" . }}:{{ include "lmcache-kserve.backend.mooncake.metadataPort" . }}/metadata
{{- else -}}
{{ .Values.remoteBackend.mooncake.external.metadataServer }}
{{- end -}}
{{- end }}

{{/* Only the owner of an external Mooncake knows where its stores listen: there the list has the master's port alone. */}}
{{- define "lmcache-kserve.backend.mooncake.ports" -}}
  {{- if include "lmcache-kserve.backend.deployed" . -}}
    {{- $transfers := include "lmcache-kserve.backend.mooncake.transferPorts" . | fromJson -}}
    {{- list
          (include "lmcache-kserve.backend.mooncake.port" . | int)
          (include "lmcache-kserve.backend.mooncake.metadataPort" . | int)
          (printf "%d-%d" (int $transfers.first) (int $transfers.last)) | toJson -}}
  {{- else -}}
    {{- list (include "lmcache-kserve.backend.mooncake.endpoint" . | splitList ":" | last | int) | toJson -}}
  {{- end -}}
{{- end }}

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

{{/* The master's; the stores have none. */}}
{{- define "lmcache-kserve.backend.mooncake.metrics" -}}
{{- if include "lmcache-kserve.backend.deployed" . }}{{ list (dict "port" "metrics" "part" "master") | toJson }}{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.module" }}checked_mooncake{{ end }}

{{/* Memory that each store lends, in bytes. */}}
{{- define "lmcache-kserve.backend.mooncake.segment" -}}
  {{- $store := .Values.remoteBackend.mooncake.store -}}
  {{- if $store.segmentSize -}}
    {{- include "lmcache-kserve.bytes" $store.segmentSize | trim -}}
  {{- else -}}
    {{- div (mul (include "lmcache-kserve.bytes" (dig "limits" "memory" "" $store.resources) | int64) 8) 10 -}}
  {{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.mooncake.notes" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
{{- $port := include "lmcache-kserve.backend.mooncake.metricsPort" . -}}
{{- $metrics := "^master_(key_count|allocated_bytes|total_capacity_bytes|active_clients)" -}}
kubectl port-forward -n {{ .Release.Namespace }} deployment/{{ include "lmcache-kserve.backend.name" . }} {{ $port }} & sleep 3
curl -s http://127.0.0.1:{{ $port }}/metrics | grep -E '{{ $metrics }}'; kill %1
{{- end -}}
{{- end }}
