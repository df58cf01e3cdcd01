{{/*
Values that are not there. A user removes a value with null, a parent chart may do so by accident, and `helm upgrade
--reuse-values` brings the values of an older chart, which lacks what is new. A section that is not there gets its defaults, and
so does a value that cannot be empty. files/defaults.json says which is which.

Helm renders the deepest templates first, and those of one depth in reverse order of their names. So it renders
templates/values/first/complete.yaml before every other template, and all templates of a chart share one dict of values.
*/}}

{{- define "lmcache-kserve.values.complete" -}}
{{- $known := .Files.Get "files/defaults.json" | fromJson -}}
{{- $arguments := dict "values" .Values "defaults" $known.defaults "path" "" "maps" $known.maps "optional" $known.optional -}}
{{- $_ := include "lmcache-kserve.values.completeSection" $arguments -}}
{{- end }}

{{/*
Complete one section in place.
Input: dict "values" dict "defaults" dict "path" "predictor." "maps" (paths that become {}) "optional" (paths that may stay away).
*/}}
{{- define "lmcache-kserve.values.completeSection" -}}
{{- range $key, $default := .defaults -}}
  {{- $path := printf "%s%s" $.path $key -}}
  {{- $value := get $.values $key -}}
  {{- $absent := or (not (hasKey $.values $key)) (kindIs "invalid" $value) -}}
  {{- if has $path $.maps -}}
    {{- if $absent }}{{ $_ := set $.values $key dict }}{{ end -}}
  {{- else if has $path $.optional -}}
  {{- else if $absent -}}
    {{- $_ := set $.values $key $default -}}
  {{- else if and (kindIs "map" $default) (kindIs "map" $value) -}}
    {{- $section := dict "values" $value "defaults" $default "path" (printf "%s." $path) "maps" $.maps "optional" $.optional -}}
    {{- include "lmcache-kserve.values.completeSection" $section -}}
  {{- end -}}
{{- end -}}
{{- end }}
