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
  {{- $variable := deepCopy . -}}
  {{- if hasKey $variable "value" -}}
    {{- $_ := set $variable "value" (include "lmcache-kserve.string" $variable.value) -}}
  {{- end -}}
  {{- $env = append $env $variable -}}
{{- end -}}
{{- toJson $env -}}
{{- end }}

{{/*
Resources of a container. KServe's CRDs refuse numbers with a fraction, which Kubernetes itself takes; they become text.
Input: dict. Output: JSON dict.
*/}}
{{- define "lmcache-kserve.resources" -}}
{{- $resources := deepCopy . -}}
{{- range $kind := list "requests" "limits" -}}
  {{- range $name, $amount := default dict (get $resources $kind) -}}
    {{- if and (kindIs "float64" $amount) (ne (floor $amount) $amount) -}}
      {{- $_ := set (get $resources $kind) $name (include "lmcache-kserve.string" $amount) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- toJson $resources -}}
{{- end }}

{{/* Containers of a user, whose variables become text. Input: list of containers. Output: JSON list. */}}
{{- define "lmcache-kserve.containers" -}}
{{- $containers := list -}}
{{- range . -}}
  {{- $container := deepCopy . -}}
  {{- with $container.resources }}{{ $_ := set $container "resources" (include "lmcache-kserve.resources" . | fromJson) }}{{ end -}}
  {{- with $container.env }}{{ $_ := set $container "env" (include "lmcache-kserve.mergeEnv" (list .) | fromJsonArray) }}{{ end -}}
  {{- $containers = append $containers $container -}}
{{- end -}}
{{- toJson $containers -}}
{{- end }}

{{/*
A dict without the keys whose value is null. A user writes null to remove what the chart or a backend sets.
Input: dict. Output: JSON dict.
*/}}
{{- define "lmcache-kserve.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
  {{- if kindIs "map" $value -}}
    {{- $_ := set $kept $key (include "lmcache-kserve.withoutNulls" $value | fromJson) -}}
  {{- else if not (kindIs "invalid" $value) -}}
    {{- $_ := set $kept $key $value -}}
  {{- end -}}
{{- end -}}
{{- toJson $kept -}}
{{- end }}
