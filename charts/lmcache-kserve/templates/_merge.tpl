{{/*
Merging of what the chart sets with what the user sets.
*/}}

{{/*
A scalar as the string that a user would have written. Helm holds numbers as floats: 1000000 prints as 1e+06, but its JSON
is 1000000.
*/}}
{{- define "lmcache-kserve.string" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end }}

{{/* A number, which `--set` gives as a string when it has a fraction. Output: JSON number. */}}
{{- define "lmcache-kserve.number" -}}
{{- include "lmcache-kserve.string" . | float64 | toJson -}}
{{- end }}

{{/*
Merge two lists of objects by key. An entry of `override` takes the place of the entry of `base` with the same key; other
entries are appended. The result names every key once, even if an input repeats a key.
Input: dict "keys" (list "name") "base" list "override" list; a missing `protocol` counts as TCP.
Output: JSON list.
*/}}
{{- define "lmcache-kserve.mergeLists" -}}
{{- $keys := .keys -}}
{{- $order := list -}}
{{- $entries := dict -}}
{{- range concat (default list .base) (default list .override) -}}
  {{- $entry := . -}}
  {{- $id := "" -}}
  {{- range $keys -}}
    {{- $part := get $entry . -}}
    {{- if and (eq . "protocol") (not $part) }}{{ $part = "TCP" }}{{ end -}}
    {{- $id = printf "%s/%s" $id (include "lmcache-kserve.string" $part) -}}
  {{- end -}}
  {{- if not (hasKey $entries $id) }}{{ $order = append $order $id }}{{ end -}}
  {{- $_ := set $entries $id $entry -}}
{{- end -}}
{{- $merged := list -}}
{{- range $order }}{{ $merged = append $merged (get $entries .) }}{{ end -}}
{{- toJson $merged -}}
{{- end }}

{{/*
Merge lists of environment variables by name, later lists winning; values become strings.
Input: list of lists. Output: JSON list.
*/}}
{{- define "lmcache-kserve.mergeEnv" -}}
{{- $merged := list -}}
{{- range . -}}
  {{- $merged = include "lmcache-kserve.mergeLists" (dict "keys" (list "name") "base" $merged "override" .) | fromJsonArray -}}
{{- end -}}
{{- $env := list -}}
{{- range $merged -}}
  {{- $env = append $env (include "lmcache-kserve.variable" . | fromJson) -}}
{{- end -}}
{{- toJson $env -}}
{{- end }}

{{/* An environment variable whose value is text; null leaves the value out. Input: dict. Output: JSON dict. */}}
{{- define "lmcache-kserve.variable" -}}
{{- $variable := omit . "value" | include "lmcache-kserve.quantities" | fromJson -}}
{{- if not (kindIs "invalid" .value) }}{{ $_ := set $variable "value" (include "lmcache-kserve.string" .value) }}{{ end -}}
{{- toJson $variable -}}
{{- end }}

{{/*
Any part of a pod as KServe's CRDs take it. They refuse quantities that are numbers with a fraction, which Kubernetes itself takes;
these become text. Input: the part. Output: JSON.
*/}}
{{- define "lmcache-kserve.quantities" -}}
{{- get (include "lmcache-kserve.quantities.within" . | fromJson) "value" | toJson -}}
{{- end }}

{{/* Input: any value. Output: JSON dict with the value as "value". */}}
{{- define "lmcache-kserve.quantities.within" -}}
{{- $told := . -}}
{{- if kindIs "map" . -}}
  {{- $told = dict -}}
  {{- range $key, $value := . }}{{ $_ := set $told $key (get (include "lmcache-kserve.quantities.within" $value | fromJson) "value") }}{{ end -}}
{{- else if kindIs "slice" . -}}
  {{- $told = list -}}
  {{- range . }}{{ $told = append $told (get (include "lmcache-kserve.quantities.within" . | fromJson) "value") }}{{ end -}}
{{- else if kindIs "float64" . -}}
  {{- if ne (floor .) . }}{{ $told = include "lmcache-kserve.string" . }}{{ end -}}
{{- end -}}
{{- dict "value" $told | toJson -}}
{{- end }}

{{/* Containers of a user: variables become text, and nulls leave fields out. Input: list of containers. Output: JSON list. */}}
{{- define "lmcache-kserve.containers" -}}
{{- $containers := list -}}
{{- range . -}}
  {{- $container := include "lmcache-kserve.withoutNulls" . | fromJson | include "lmcache-kserve.quantities" | fromJson -}}
  {{- /* KServe's CRD refuses a name that comes twice. */ -}}
  {{- with $container.env }}{{ $_ := set $container "env" (include "lmcache-kserve.mergeEnv" (list .) | fromJsonArray) }}{{ end -}}
  {{- $containers = append $containers $container -}}
{{- end -}}
{{- toJson $containers -}}
{{- end }}

{{/*
A dict without the keys whose value is null, at every depth. A user writes null to remove what the chart or a backend sets, and
KServe's CRDs refuse null. Input: dict. Output: JSON dict.
*/}}
{{- define "lmcache-kserve.withoutNulls" -}}
{{- get (include "lmcache-kserve.pruned" . | fromJson) "value" | toJson -}}
{{- end }}

{{/* Any value without nulls. Input: the value. Output: JSON dict with the value as "value". */}}
{{- define "lmcache-kserve.pruned" -}}
{{- $kept := . -}}
{{- if kindIs "map" . -}}
  {{- $kept = dict -}}
  {{- range $key, $value := . -}}
    {{- if not (kindIs "invalid" $value) -}}
      {{- $_ := set $kept $key (get (include "lmcache-kserve.pruned" $value | fromJson) "value") -}}
    {{- end -}}
  {{- end -}}
{{- else if kindIs "slice" . -}}
  {{- $kept = list -}}
  {{- range . }}{{ $kept = append $kept (get (include "lmcache-kserve.pruned" . | fromJson) "value") }}{{ end -}}
{{- end -}}
{{- dict "value" $kept | toJson -}}
{{- end }}
