{{/* What the schema cannot say about the values of the chosen type; each type's folder says it of its own. */}}
{{- define "lmcache-kserve.validate.remoteBackend" -}}
{{- if include "lmcache-kserve.backend.known" . }}
{{- include "lmcache-kserve.backend.ask" (list . "problems") }}
{{- else }}
remoteBackend.type: the chart has no type {{ .Values.remoteBackend.type | quote }}
{{- end }}
{{- end }}
