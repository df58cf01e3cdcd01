{{/*
LMCache's configuration. It is built once as a dict and rendered as a file or as environment. The mode (lmcache.mode)
contributes through `lmcache-kserve.lmcache.<mode>.*` (_in-process.tpl, _multiprocess.tpl), the backend through its answer
`config`.
*/}}

{{/* Whether LMCache runs inside vLLM's workers. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.lmcache.inProcess" -}}
{{- if and .Values.lmcache.enabled (eq .Values.lmcache.mode "in-process") }}true{{ end -}}
{{- end }}

{{/* Modules of the connection to the backend that the chart brings, in files/. Output: the files' names without .py, separated by spaces. */}}
{{- define "lmcache-kserve.lmcache.backendModule" -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . -}}
  {{- include "lmcache-kserve.backend.ask" (list . "module") -}}
{{- else if include "lmcache-kserve.multiprocess" . -}}
  {{- include "lmcache-kserve.backend.ask" (list . "l2Module") -}}
{{- end -}}
{{- end }}

{{/*
The configuration. The backend's settings win over the values, and the user's settings win over both; null removes a key.
Output: JSON dict; empty when LMCache is off or runs as a server, which takes arguments.
*/}}
{{- define "lmcache-kserve.lmcache.config" -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . -}}
  {{- $values := include "lmcache-kserve.lmcache.in-process.config" . | fromYaml -}}
  {{- $backend := include "lmcache-kserve.backend.ask" (list . "config") | fromYaml -}}
  {{- mergeOverwrite $values $backend (deepCopy .Values.lmcache.config) | include "lmcache-kserve.withoutNulls" -}}
{{- else -}}
  {}
{{- end -}}
{{- end }}

{{/*
Chunk size that LMCache uses, in tokens. LMCache's server gets lmcache.chunkSize. In mode in-process, the environment wins over
the configuration, and LMCache's own default is 256. Without LMCache, the size still measures the prompts of `helm test`.
*/}}
{{- define "lmcache-kserve.lmcache.chunkSize" -}}
{{- $size := .Values.lmcache.chunkSize -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . -}}
  {{- $size = get (include "lmcache-kserve.lmcache.config" . | fromJson) "chunk_size" | default 256 -}}
  {{- range .Values.predictor.env -}}
    {{- if eq .name "LMCACHE_CHUNK_SIZE" }}{{ $size = default $size .value }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- int $size -}}
{{- end }}

{{/* The value that decides the chunk size, for messages. */}}
{{- define "lmcache-kserve.lmcache.chunkSizeValue" -}}
{{- $value := "lmcache.chunkSize" -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . -}}
  {{- if and (eq .Values.remoteBackend.type "custom") (hasKey .Values.remoteBackend.custom.config "chunk_size") -}}
    {{- $value = "remoteBackend.custom.config.chunk_size" -}}
  {{- end -}}
  {{- if hasKey .Values.lmcache.config "chunk_size" }}{{ $value = "lmcache.config.chunk_size" }}{{ end -}}
  {{- range $index, $variable := .Values.predictor.env -}}
    {{- if eq $variable.name "LMCACHE_CHUNK_SIZE" }}{{ $value = printf "predictor.env[%d]" $index }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- $value -}}
{{- end }}

{{/*
Whether `extra_config` names what only the pod knows. The kubelet fills in $(POD_NAME) and $(POD_IP), and the launcher fills in
%REMOTE_BACKEND_PASSWORD%. Both work in the environment only, so the whole `extra_config` then moves there from the file.
Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.lmcache.namesPod" -}}
{{- $settings := get (include "lmcache-kserve.lmcache.config" . | fromJson) "extra_config" | toJson -}}
{{- if regexMatch `\$\((POD_NAME|POD_IP)\)|%REMOTE_BACKEND_(USERNAME|PASSWORD)%` $settings }}true{{ end -}}
{{- end }}

{{/* The part of the configuration in the file. Output: JSON dict. */}}
{{- define "lmcache-kserve.lmcache.fileConfig" -}}
{{- $config := include "lmcache-kserve.lmcache.config" . | fromJson -}}
{{- if include "lmcache-kserve.lmcache.namesPod" . -}}
  {{- $config = omit $config "extra_config" -}}
{{- end -}}
{{- toJson $config -}}
{{- end }}

{{/* The part of the configuration in the environment. Output: JSON dict. */}}
{{- define "lmcache-kserve.lmcache.envConfig" -}}
{{- $config := include "lmcache-kserve.lmcache.config" . | fromJson -}}
{{- if include "lmcache-kserve.lmcache.configMap" . -}}
  {{- $config = ternary (pick $config "extra_config") dict (eq "true" (include "lmcache-kserve.lmcache.namesPod" .)) -}}
{{- end -}}
{{- toJson $config -}}
{{- end }}

{{/* Whether the configuration is a file. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.lmcache.configMap" -}}
{{- if and (include "lmcache-kserve.lmcache.inProcess" .) (eq .Values.lmcache.configStyle "file") }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.lmcache.configMap.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "lmcache") -}}
{{- end }}

{{- define "lmcache-kserve.lmcache.configMap.path" -}}
/etc/lmcache
{{- end }}

{{/* Value of `--kv-transfer-config`. files/unproven.py reads the key of lmcache.allowUnproven. Output: JSON dict. */}}
{{- define "lmcache-kserve.lmcache.kvTransferConfig" -}}
{{- $own := include (printf "lmcache-kserve.lmcache.%s.kvTransferConfig" .Values.lmcache.mode) . | fromYaml -}}
{{- if .Values.lmcache.allowUnproven -}}
  {{- $own = mergeOverwrite $own (dict "kv_connector_extra_config" (dict "lmcache-kserve.allow_unproven" true)) -}}
{{- end -}}
{{- mergeOverwrite $own (deepCopy .Values.lmcache.kvTransferConfig) | include "lmcache-kserve.withoutNulls" -}}
{{- end }}

{{/*
Environment of LMCache: the whole configuration in env style, the file's path in file style, and what only the environment
can set. Output: YAML list.
*/}}
{{- define "lmcache-kserve.lmcache.env" -}}
{{- if .Values.lmcache.enabled }}
- name: LMCACHE_LOG_LEVEL
  value: {{ .Values.lmcache.logLevel | quote }}
- name: LMCACHE_TRACK_USAGE
  value: {{ .Values.lmcache.trackUsage | quote }}
{{- if and (include "lmcache-kserve.lmcache.inProcess" .) (eq .Values.lmcache.kvLoadFailurePolicy "recompute") }}
# On GPUs, vLLM's second model runner answers wrong when it computes again what could not be loaded (vllm-project/vllm#49250).
- name: VLLM_USE_V2_MODEL_RUNNER
  value: "0"
{{- end }}
{{- if include "lmcache-kserve.lmcache.configMap" . }}
- name: LMCACHE_CONFIG_FILE
  value: {{ include "lmcache-kserve.lmcache.configMap.path" . }}/lmcache_config.yaml
{{- end }}
{{- if include "lmcache-kserve.lmcache.namesPod" . }}
# Before the variable that refers to them: the kubelet knows earlier ones only.
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end }}
{{- if include "lmcache-kserve.monitoring.ofLmcache" . }}
- name: PROMETHEUS_MULTIPROC_DIR
  value: {{ include "lmcache-kserve.monitoring.folder" . }}
{{- end }}
{{- range $key, $value := include "lmcache-kserve.lmcache.envConfig" . | fromJson }}
- name: LMCACHE_{{ upper $key }}
  {{- /* LMCache reads lists as comma-separated text and dicts as JSON. */}}
  value: {{ (kindIs "slice" $value | ternary (include "lmcache-kserve.commaSeparated" $value) (include "lmcache-kserve.string" $value)) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Input: list or anything else. Output: "a,b", or nothing for anything else. */}}
{{- define "lmcache-kserve.commaSeparated" -}}
{{- if kindIs "slice" . -}}
{{- $texts := list -}}
{{- range . }}{{ $texts = append $texts (include "lmcache-kserve.string" .) }}{{ end -}}
{{- join "," $texts -}}
{{- end -}}
{{- end }}

{{/* Volumes of LMCache: its file and its disk. Output: YAML list. */}}
{{- define "lmcache-kserve.lmcache.volumes" -}}
{{- if include "lmcache-kserve.lmcache.configMap" . }}
- name: lmcache-config
  configMap:
    name: {{ include "lmcache-kserve.lmcache.configMap.name" . }}
{{- end }}
{{- if include "lmcache-kserve.monitoring.ofLmcache" . }}
- name: metrics
  emptyDir:
    medium: Memory
    sizeLimit: 256Mi
{{- end }}
{{- if include "lmcache-kserve.lmcache.inProcess" . }}
{{- include "lmcache-kserve.lmcache.disk.volumes" . }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.lmcache.volumeMounts" -}}
{{- if include "lmcache-kserve.lmcache.configMap" . }}
- name: lmcache-config
  mountPath: {{ include "lmcache-kserve.lmcache.configMap.path" . }}
  readOnly: true
{{- end }}
{{- if include "lmcache-kserve.monitoring.ofLmcache" . }}
- name: metrics
  mountPath: {{ include "lmcache-kserve.monitoring.folder" . }}
{{- end }}
{{- if include "lmcache-kserve.lmcache.inProcess" . }}
{{- include "lmcache-kserve.lmcache.disk.volumeMounts" . }}
{{- end }}
{{- end }}
