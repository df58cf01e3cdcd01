{{/*
What the schema cannot say about the values of remoteBackend.redisSentinel.
*/}}

{{- define "lmcache-kserve.backend.redis-sentinel.problems" -}}
{{- include "lmcache-kserve.backend.resp.problems" . }}
{{- $values := .Values.remoteBackend.redisSentinel -}}
{{- $sentinel := $values.sentinel -}}
{{- include "lmcache-kserve.images.problems" (dict "path" "remoteBackend.redisSentinel.proxy.image" "image" $values.proxy.image) }}
{{- if $values.deploy }}
{{- if $values.external.sentinels }}
remoteBackend.redisSentinel.external.sentinels: works with external servers only; set remoteBackend.redisSentinel.deploy to false and name them
{{- end }}
{{- if gt (int $sentinel.quorum) (int $sentinel.replicas) }}
remoteBackend.redisSentinel.sentinel.quorum: {{ int $sentinel.quorum }} is more than there are Sentinels, {{ int $sentinel.replicas }}
{{- end }}
{{- if eq (mod (int $sentinel.replicas) 2) 0 }}
remoteBackend.redisSentinel.sentinel.replicas: must be odd; an even number, {{ int $sentinel.replicas }}, survives no more failures than one Sentinel less
{{- end }}
{{- end }}
{{- end }}
