{{/*
Mode in-process: LMCache as a vLLM connector inside each worker.
*/}}

{{/* The values as settings of LMCache, by the names of its configuration. Output: YAML dict. */}}
{{- define "lmcache-kserve.lmcache.in-process.config" -}}
{{- with .Values.lmcache -}}
chunk_size: {{ int .chunkSize }}
local_cpu: {{ .localCpu.enabled }}
# Chunks reach disk and backend through this memory, so it is never 0, even without local_cpu.
max_local_cpu_size: {{ include "lmcache-kserve.number" .localCpu.sizeGB }}
{{- if and .localDisk.enabled .localDisk.sizeGB }}
local_disk: {{ printf "file://%s" .localDisk.path | quote }}
max_local_disk_size: {{ include "lmcache-kserve.number" .localDisk.sizeGB }}
{{- end }}
pre_caching_hash_algorithm: {{ .hashAlgorithm }}
extra_config:
  # The CPU tier goes on when the backend fails. LMCache's default would switch off both.
  fallback_policy: local_cpu
{{- end }}
{{- end }}

{{/*
Value of `--kv-transfer-config`. The connector is files/checked_connector.py, because LMCache's own connector stores wrong chunks
when vLLM computes again what it could not load. Output: YAML dict.
*/}}
{{- define "lmcache-kserve.lmcache.in-process.kvTransferConfig" -}}
kv_connector: CheckedLMCacheConnector
kv_connector_module_path: checked_connector
kv_role: {{ .Values.lmcache.kvRole }}
{{- with .Values.lmcache.kvLoadFailurePolicy }}
kv_load_failure_policy: {{ . }}
{{- end }}
{{- end }}
