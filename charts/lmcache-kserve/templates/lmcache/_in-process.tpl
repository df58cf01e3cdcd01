{{/*
Mode in-process: LMCache as a vLLM connector inside each worker.
*/}}

{{/* What the values say, in the names of LMCache's configuration. Output: YAML dict. */}}
{{- define "lmcache-kserve.lmcache.in-process.config" -}}
{{- with .Values.lmcache -}}
chunk_size: {{ int .chunkSize }}
local_cpu: {{ .localCpu.enabled }}
# Also the pool through which chunks reach disk and backend: never 0, whatever local_cpu says.
max_local_cpu_size: {{ include "lmcache-kserve.number" .localCpu.sizeGB }}
{{- if and .localDisk.enabled .localDisk.sizeGB }}
local_disk: {{ printf "file://%s" .localDisk.path | quote }}
max_local_disk_size: {{ include "lmcache-kserve.number" .localDisk.sizeGB }}
{{- end }}
pre_caching_hash_algorithm: {{ .hashAlgorithm }}
extra_config:
  # Without a working backend the CPU tier goes on; LMCache's default would switch it off too.
  fallback_policy: local_cpu
{{- end }}
{{- end }}

{{/*
Whether the connector is files/checked_connector.py: where vLLM computes again what could not be loaded, LMCache's own stores
wrong chunks. Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.lmcache.checked" -}}
{{- if and (include "lmcache-kserve.lmcache.inProcess" .) .Values.lmcache.kvLoadFailurePolicy }}true{{ end -}}
{{- end }}

{{/* Connector to the backend that the chart brings, in files/. Output: the file's name without .py, or nothing. */}}
{{- define "lmcache-kserve.lmcache.backendModule" -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . }}{{ include "lmcache-kserve.backend.ask" (list . "module") }}{{ end -}}
{{- end }}

{{/* Output: YAML dict. */}}
{{- define "lmcache-kserve.lmcache.in-process.kvTransferConfig" -}}
{{- if include "lmcache-kserve.lmcache.checked" . }}
kv_connector: CheckedLMCacheConnector
kv_connector_module_path: checked_connector
kv_load_failure_policy: {{ .Values.lmcache.kvLoadFailurePolicy }}
{{- else }}
kv_connector: LMCacheConnectorV1
{{- end }}
kv_role: {{ .Values.lmcache.kvRole }}
{{- end }}
