{{/*
What the schema cannot say about the values of remoteBackend.s3.
*/}}

{{- define "lmcache-kserve.backend.s3.problems" -}}
{{- $values := .Values.remoteBackend.s3 -}}
{{- range $key, $value := dict "bucket" $values.bucket "external.endpoint" $values.external.endpoint "external.region" $values.external.region }}
{{- if not $value }}
remoteBackend.s3.{{ $key }}: is required
{{- end }}
{{- end }}
{{- if and $values.bucket (hasPrefix (printf "%s." $values.bucket) $values.external.endpoint) }}
remoteBackend.s3.external.endpoint: starts with the bucket, which the chart puts in front of it
{{- end }}
{{- include "lmcache-kserve.backend.caProblems" (dict "path" "remoteBackend.s3.external.tls" "tls" $values.external.tls) }}
{{- $host := regexReplaceAll ":[0-9]+$" $values.external.endpoint "" -}}
{{- $advice := "use a domain that resolves with the bucket in front" }}
{{- if or (regexMatch "^[0-9.]+$" $host) (eq $host "localhost") }}
remoteBackend.s3.external.endpoint: {{ $host }} is no domain, so no host {{ $values.bucket }}.{{ $host }} exists; {{ $advice }}
{{- else if or (regexMatch `\.svc(\.|$)` $host) (and $host (not (contains "." $host))) }}
remoteBackend.s3.external.endpoint: {{ $host }} is a Service, and the cluster's DNS does not know {{ $values.bucket }}.{{ $host }}; {{ $advice }}
{{- end }}
{{- if and (contains "." $values.bucket) $values.external.tls.enabled }}
remoteBackend.s3.bucket: {{ $values.bucket }} has a dot, which no certificate for the endpoint's subdomains covers
{{- end }}
{{- if get (include "lmcache-kserve.lmcache.config" . | fromJson) "save_unfull_chunk" }}
lmcache.config.save_unfull_chunk: must be false with remoteBackend.type s3, whose objects are whole chunks
{{- end }}
{{- end }}
