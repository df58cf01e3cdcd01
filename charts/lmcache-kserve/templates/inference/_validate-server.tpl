{{/*
Rules for what the server tells its other readers: probes, `helm test`, the notes, the Service and `lmcache-kserve verify` all
take the port from runtime.port, speak HTTP, and use the key of predictor.env.
*/}}

{{- define "lmcache-kserve.validate.server" -}}
{{- range $path, $words := dict "model.extraArgs" .Values.model.extraArgs "runtime.command" .Values.runtime.command }}
{{- range $index, $word := $words }}
{{- $at := printf "%s[%d]" $path $index }}
{{- $option := regexFind "^--[A-Za-z0-9_-]+" $word | replace "_" "-" }}
{{- if has $option (list "--ssl-keyfile" "--ssl-certfile" "--ssl-ca-certs" "--ssl-cert-reqs" "--enable-ssl-refresh") }}
{{ $at }}: {{ $option }} gives the server TLS, but KServe's routes, the probes and `helm test` speak HTTP; end TLS at the gateway, or use a service mesh
{{- end }}
{{- if has $option (list "--host" "--uds") }}
{{- $following := concat (slice $words (add1 $index | int)) (list "") | first }}
{{- $host := ternary (regexReplaceAll "^[^=]*=" $word "") $following (contains "=" $word) }}
{{- if not (and (eq $option "--host") (has $host (list "0.0.0.0" "::"))) }}
{{ $at }}: {{ $option }} {{ $host }} keeps the probes and the Service from reaching the server; it may be 0.0.0.0 or :: only
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $index, $variable := .Values.predictor.env }}
{{- $at := printf "predictor.env[%d] (%s)" $index $variable.name }}
{{- if and (eq $variable.name "VLLM_API_KEY") (eq $.Values.runtime.server "huggingfaceserver") }}
{{ $at }}: huggingfaceserver asks for no key, so everybody could send requests; use runtime.server vllm, or a gateway that asks for a key
{{- end }}
{{- if and (eq $variable.name "KSERVE_OPENAI_ROUTE_PREFIX") (hasKey $variable "valueFrom") }}
{{ $at }}: must be a value, because `helm test` and the notes use the route too
{{- end }}
{{- end }}
{{- end }}
