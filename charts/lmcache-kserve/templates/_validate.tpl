{{/*
Rules across values, which the schema cannot state. The _validate.tpl of each folder states the rules of that folder, as
lines "<value>: <what is wrong>". This file collects the lines and reports them together, so that a user corrects all of
them in one go. templates/validate.yaml calls it.
*/}}

{{- define "lmcache-kserve.validate" -}}
{{- $problems := list -}}
{{- range list "moved" "names" "inference" "server" "values" "lmcache" "remoteBackend" "monitoring" "warmup" "tests" -}}
  {{- range include (printf "lmcache-kserve.validate.%s" .) $ | splitList "\n" -}}
    {{- if trim . }}{{ $problems = append $problems (printf "  - %s" (trim .)) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if $problems -}}
  {{- $count := ternary "1 problem" (printf "%d problems" (len $problems)) (eq (len $problems) 1) -}}
  {{- printf "\n\n%s in the values of %s:\n%s\n" $count .Chart.Name (join "\n" (uniq $problems)) | fail -}}
{{- end -}}
{{- end }}
