{{/*
Values of earlier charts (files/moved-values.yaml) that the user still sets. The chart accepts an empty value, and the one value
that a removed value could have: neither asks for anything.
*/}}

{{- define "lmcache-kserve.validate.moved" -}}
{{- $earlier := .Files.Get "files/moved-values.yaml" | fromYaml -}}
{{- range $old, $new := $earlier.moved }}
{{- if include "lmcache-kserve.moved.value" (dict "context" $ "path" $old) }}
{{ $old }}: has moved to {{ $new }}
{{- end }}
{{- end }}
{{- range $old, $rule := $earlier.removed }}
{{- $value := include "lmcache-kserve.moved.value" (dict "context" $ "path" $old) }}
{{- if and $value (ne $value (toJson $rule.only)) }}
{{ $old }}: is always {{ toJson $rule.only }}, because {{ $rule.because }}
{{- end }}
{{- end }}
{{- end }}

{{/*
What stands at a path of the values.
Input: dict "context" $ "path" "remoteBackend.redis.nodeSelector". Output: JSON, or nothing where it is absent or empty.
*/}}
{{- define "lmcache-kserve.moved.value" -}}
  {{- $value := .context.Values -}}
  {{- range splitList "." .path -}}
    {{- $value = get (kindIs "map" $value | ternary $value dict) . -}}
  {{- end -}}
  {{- if $value }}{{ toJson $value }}{{ end -}}
{{- end }}
