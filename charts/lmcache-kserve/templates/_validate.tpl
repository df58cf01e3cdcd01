{{/*
Rules across values, which the schema cannot state. The _validate.tpl of each folder states the rules of that folder, as
lines "<value>: <what is wrong>". This file collects the lines and reports them together, so that a user corrects all of
them in one go. templates/validate.yaml calls it.
*/}}

{{- define "lmcache-kserve.validate" -}}
{{- $problems := list -}}
{{- range list "moved" "names" "inference" "lmcache" "remoteBackend" "tests" -}}
  {{- range include (printf "lmcache-kserve.validate.%s" .) $ | splitList "\n" -}}
    {{- if trim . }}{{ $problems = append $problems (printf "  - %s" (trim .)) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if $problems -}}
  {{- $count := ternary "1 problem" (printf "%d problems" (len $problems)) (eq (len $problems) 1) -}}
  {{- printf "\n\n%s in the values of %s:\n%s\n" $count .Chart.Name (join "\n" (uniq $problems)) | fail -}}
{{- end -}}
{{- end }}

{{/* Names and labels of every object. */}}
{{- define "lmcache-kserve.validate.names" -}}
{{- $namespace := .Release.Namespace -}}
{{- $limit := include "lmcache-kserve.names.limit" . | int -}}
{{- $full := include "lmcache-kserve.fullname" . -}}
{{- if lt $limit 10 }}
namespace {{ $namespace }}: has {{ len $namespace }} characters, but KServe's host names leave room for 42; use a shorter namespace
{{- else if and .Values.fullnameOverride (gt (len $full) $limit) }}
fullnameOverride: has {{ len $full }} characters, but KServe's names leave room for {{ $limit }} in namespace {{ $namespace }}
{{- end }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) }}
{{- $value := ternary "fullnameOverride" "nameOverride" (not (empty .Values.fullnameOverride)) }}
{{ $value }}: gives the name {{ $full | quote }}; an InferenceService may have lower-case letters, digits and dashes, a letter first
{{- end }}
{{- include "lmcache-kserve.validate.labels" (dict "path" "commonLabels" "labels" .Values.commonLabels) }}
{{- end }}

{{/* Labels that a user gives. Input: dict "path" "commonLabels" "labels" dict. */}}
{{- define "lmcache-kserve.validate.labels" -}}
{{- if hasKey .labels "serving.kserve.io/inferenceservice" }}
{{ .path }}: must not have serving.kserve.io/inferenceservice, because KServe deletes objects with this label
{{- end }}
{{- end }}
