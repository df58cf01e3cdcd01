{{/*
Names of everything that the chart creates. KServe derives longer names from the InferenceService's name: the pods' label
`app: isvc.<name>-predictor` and the host label `<name>-predictor-<namespace>` have at most 63 characters each. The chart
cuts a name that is too long and appends a hash of the whole name, so that two releases never share a name. The chart never
cuts a name that the user chose (fullnameOverride); validation refuses such a name when it is too long.
*/}}

{{- define "lmcache-kserve.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/*
Longest InferenceService name that works in the release's namespace. The limit is at most 40 characters, because other
objects append to the name. The limit may be negative.
*/}}
{{- define "lmcache-kserve.names.limit" -}}
{{- min 40 (sub 52 (len .Release.Namespace)) -}}
{{- end }}

{{/* Name of the InferenceService, and first part of every other name. */}}
{{- define "lmcache-kserve.fullname" -}}
  {{- if .Values.fullnameOverride -}}
    {{- .Values.fullnameOverride -}}
  {{- else -}}
    {{- $name := include "lmcache-kserve.name" . -}}
    {{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
    {{- /* KServe wants a letter first; Helm allows release names that start with a digit. */ -}}
    {{- if not (regexMatch "^[a-z]" $full) -}}
      {{- $full = printf "isvc-%s" $full -}}
    {{- end -}}
    {{- /* Validation refuses a namespace that leaves fewer than 10 characters. */ -}}
    {{- $limit := max 10 (include "lmcache-kserve.names.limit" . | int) | int -}}
    {{- if gt (len $full) $limit -}}
      {{- $full = printf "%s-%s" ($full | trunc (sub $limit 7 | int) | trimSuffix "-") ($full | sha256sum | trunc 6) -}}
    {{- end -}}
    {{- $full -}}
  {{- end -}}
{{- end }}

{{/*
Name of an object that belongs to the release.
Input: dict "context" $ "suffix" "lmcache".
*/}}
{{- define "lmcache-kserve.names.of" -}}
{{- printf "%s-%s" (include "lmcache-kserve.fullname" .context) .suffix -}}
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
