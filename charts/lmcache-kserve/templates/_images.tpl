{{/*
Reference of an image.
Input: dict with repository, tag, digest; a digest wins over the tag.
*/}}
{{- define "lmcache-kserve.image" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end }}

{{/*
Image of the predictor: the user's, or the one that Chart.yaml names for the chosen server.
*/}}
{{- define "lmcache-kserve.images.predictor" -}}
{{- if .Values.runtime.image.repository -}}
{{ include "lmcache-kserve.image" .Values.runtime.image }}
{{- else -}}
{{ index .Chart.Annotations (printf "lmcache-kserve/image-%s" .Values.runtime.server) }}
{{- end -}}
{{- end }}
