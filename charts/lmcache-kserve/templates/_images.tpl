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

{{/*
Image of a workload that runs in the predictor's image unless the user names one.
Input: dict "context" $ "image" dict.
*/}}
{{- define "lmcache-kserve.images.orPredictor" -}}
{{- if .image.repository -}}
{{ include "lmcache-kserve.image" .image }}
{{- else -}}
{{ include "lmcache-kserve.images.predictor" .context }}
{{- end -}}
{{- end }}

{{/*
The rule for every image that a user can name: repository and version come together.
Input: dict "path" "runtime.image" "image" dict. Output: lines "<value>: <what is wrong>".
*/}}
{{- define "lmcache-kserve.images.problems" -}}
{{- $version := or .image.tag .image.digest -}}
{{- if and $version (not .image.repository) }}
{{ .path }}.repository: is required when {{ .path }}.tag or {{ .path }}.digest is set
{{- else if and .image.repository (not $version) }}
{{ .path }}.tag: is required with {{ .path }}.repository, unless {{ .path }}.digest is set
{{- end }}
{{- end }}
