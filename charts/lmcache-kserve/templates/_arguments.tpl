{{/*
Arguments that a user gives to a server. argparse and vLLM's FlexibleArgumentParser take `--option value` and `--option=value`,
and underscores for dashes in the name of an option.
*/}}

{{/* Name of an option, with dashes and without its value. Input: one argument. Output: name, or nothing for a word that is no option. */}}
{{- define "lmcache-kserve.arguments.name" -}}
{{- regexFind "^--?[A-Za-z][A-Za-z0-9_-]*" . | replace "_" "-" -}}
{{- end }}

{{/* Options of the model's server that the chart reads. argparse also takes the beginning of each. Output: JSON list. */}}
{{- define "lmcache-kserve.arguments.read" -}}
{{- list
      "-dcp" "-dp" "-dpl" "-dpn" "-pcp" "-pp" "-q" "-sc" "-tp" "--api-key" "--calculate-kv-scales" "--code-revision" "--config-format" "--data-parallel-rank"
      "--data-parallel-size" "--data-parallel-size-local" "--decode-context-parallel-size" "--default-mm-loras"
      "--disable-sliding-window" "--dtype" "--enable-lora" "--enable-prefix-caching" "--enable-sleep-mode"
      "--enable-ssl-refresh" "--hf-config-path" "--hf-overrides" "--hf-token" "--host" "--http-port"
      "--kv-cache-dtype" "--kv-cache-dtype-skip-layers" "--kv-offloading-backend" "--kv-offloading-size"
      "--kv-transfer-config" "--load-format" "--lora-modules" "--max-model-len" "--mm-processor-kwargs" "--model"
      "--model-class-overrides" "--model-dir" "--model-id" "--model-impl" "--model-name" "--model-revision"
      "--no-disable-hybrid-kv-cache-manager" "--no-enable-prefix-caching" "--pipeline-parallel-size" "--port"
      "--prefill-context-parallel-size" "--quantization" "--quantization-config" "--revision" "--root-path"
      "--rope-scaling" "--rope-theta" "--served-model-name" "--spec-method" "--spec-model" "--spec-tokens"
      "--speculative-config" "--ssl-ca-certs" "--ssl-cert-reqs" "--ssl-certfile" "--ssl-ciphers" "--ssl-keyfile"
      "--tensor-parallel-size" "--uds" | toJson -}}
{{- end }}

{{/*
The options that argparse may take a beginning for. Input: name of an option. Output: JSON list, empty for a whole name.
--config, -n and -r are whole names of other options.
*/}}
{{- define "lmcache-kserve.arguments.whole" -}}
{{- $name := . -}}
{{- $read := include "lmcache-kserve.arguments.read" . | fromJsonArray -}}
{{- $whole := list -}}
{{- if and $name (not (has $name (concat $read (list "--config" "-n" "-r")))) -}}
  {{- range $read }}{{ if hasPrefix $name . }}{{ $whole = append $whole . }}{{ end }}{{ end -}}
{{- end -}}
{{- toJson $whole -}}
{{- end }}

{{/*
Words of a command that its server reads: those behind `serve`, behind the module of `-m`, or behind `--`. What stands before
belongs to another program. Input: list of words. Output: JSON list of the positions of these words.
*/}}
{{- define "lmcache-kserve.arguments.ofServer" -}}
{{- $words := . -}}
{{- $first := len $words -}}
{{- range $index, $word := $words -}}
  {{- if has $word (list "--" "serve") }}{{ $first = add1 $index }}{{ end -}}
  {{- if eq $word "-m" }}{{ $first = add $index 2 }}{{ end -}}
{{- end -}}
{{- untilStep (int $first) (len $words) 1 | toJson -}}
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
