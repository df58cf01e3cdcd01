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
{{- if and $values.external.tls.caSecret (not $values.external.tls.enabled) }}
remoteBackend.s3.external.tls.caSecret: is not used while remoteBackend.s3.external.tls.enabled is false
{{- end }}
{{- if and (contains "." $values.bucket) $values.external.tls.enabled }}
remoteBackend.s3.bucket: {{ $values.bucket }} has a dot, which no certificate for the endpoint's subdomains covers
{{- end }}
{{- if get (include "lmcache-kserve.lmcache.config" . | fromJson) "save_unfull_chunk" }}
lmcache.config.save_unfull_chunk: must be false with remoteBackend.type s3, whose objects are whole chunks
{{- end }}
{{- end }}
