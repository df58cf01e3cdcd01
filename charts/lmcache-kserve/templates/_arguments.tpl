{{/*
Arguments that a user gives to a server. argparse and vLLM's FlexibleArgumentParser take `--option value` and `--option=value`,
and underscores for dashes in the name of an option.
*/}}

{{/* Name of an option, with dashes and without its value. Input: one argument. Output: name, or nothing for a word that is no option. */}}
{{- define "lmcache-kserve.arguments.name" -}}
{{- regexFind "^--?[A-Za-z][A-Za-z0-9_-]*" . | replace "_" "-" -}}
{{- end }}

{{/*
Value of an option. Of a repeated option the last one counts.
Input: dict "arguments" list "names" list of all names of the option. Output: text, or nothing.
*/}}
{{- define "lmcache-kserve.arguments.value" -}}
{{- $names := .names -}}
{{- $value := "" -}}
{{- $next := false -}}
{{- range .arguments -}}
  {{- $name := include "lmcache-kserve.arguments.name" . -}}
  {{- if has $name $names -}}
    {{- $next = not (contains "=" .) -}}
    {{- if not $next }}{{ $value = regexReplaceAll "^[^=]*=" . "" }}{{ end -}}
  {{- else -}}
    {{- if and $next (not $name) }}{{ $value = . }}{{ end -}}
    {{- $next = false -}}
  {{- end -}}
{{- end -}}
{{- $value -}}
{{- end }}

{{/* Whether one of these options is given. Input: dict "arguments" list "names" list. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.arguments.has" -}}
{{- $names := .names -}}
{{- $found := "" -}}
{{- range .arguments }}{{ if has (include "lmcache-kserve.arguments.name" .) $names }}{{ $found = "true" }}{{ end }}{{ end -}}
{{- $found -}}
{{- end }}
