{{/* What the schema cannot say about the values of the chosen type; each type's folder says it of its own. */}}
{{- define "lmcache-kserve.validate.remoteBackend" -}}
{{- include "lmcache-kserve.validate.labels" (dict "path" "remoteBackend.pod.podLabels" "labels" .Values.remoteBackend.pod.podLabels) }}
{{- if include "lmcache-kserve.backend.known" . }}
{{- include "lmcache-kserve.backend.ask" (list . "problems") }}
{{- include "lmcache-kserve.validate.exporter" . }}
{{- else }}
remoteBackend.type: the chart has no type {{ .Values.remoteBackend.type | quote }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.exporter" -}}
{{- $exporter := .Values.remoteBackend.exporter -}}
{{- include "lmcache-kserve.images.problems" (dict "path" "remoteBackend.exporter.image" "image" $exporter.image) }}
{{- if not $exporter.enabled -}}
{{- else if not (has .Values.remoteBackend.type (list "redis" "valkey" "redis-sentinel")) }}
remoteBackend.exporter.enabled: works with remoteBackend.type redis, valkey and redis-sentinel only, not with {{ .Values.remoteBackend.type }}
{{- else if not (include "lmcache-kserve.backend.deployed" .) }}
remoteBackend.exporter.enabled: works with a deployed server only; remoteBackend.{{ include "lmcache-kserve.backend.valuesKey" . }}.deploy is false
{{- end }}
{{- end }}
