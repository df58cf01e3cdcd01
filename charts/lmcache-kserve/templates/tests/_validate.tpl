{{/*
Rules for the values of `helm test`.
*/}}

{{- define "lmcache-kserve.validate.tests" -}}
{{- include "lmcache-kserve.validate.labels" (dict "path" "tests.podLabels" "labels" .Values.tests.podLabels) }}
{{- end }}
