{{/* What the schema cannot say about the values of the chosen type; each type's folder says it of its own. */}}
{{- define "lmcache-kserve.validate.remoteBackend" -}}
{{- include "lmcache-kserve.validate.labels" (dict "path" "remoteBackend.pod.podLabels" "labels" .Values.remoteBackend.pod.podLabels) }}
{{- if include "lmcache-kserve.backend.known" . }}
{{- include "lmcache-kserve.backend.ask" (list . "problems") }}
{{- else }}
remoteBackend.type: the chart has no type {{ .Values.remoteBackend.type | quote }}
{{- end }}
{{- end }}
