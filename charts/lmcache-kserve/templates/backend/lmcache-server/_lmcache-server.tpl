{{/*
lmcache_server, LMCache's own server (`lm://`). It is legacy: it has no eviction, no authentication and no TLS. LMCache's client
keeps one connection for ever, so replicas need a restart after the server's.
*/}}

{{- define "lmcache-kserve.backend.lmcache-server.answers" -}}
lmcache-server: [config, endpoint, notes, ports, problems, warning]
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.endpoint" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
{{ include "lmcache-kserve.backend.host" . }}:{{ int .Values.remoteBackend.lmcacheServer.port }}
{{- else -}}
{{ .Values.remoteBackend.lmcacheServer.external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.ports" -}}
{{- list (include "lmcache-kserve.backend.lmcache-server.endpoint" . | splitList ":" | last | int) | toJson -}}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.config" -}}
remote_serde: {{ .Values.lmcache.serde }}
remote_url: {{ printf "lm://%s" (include "lmcache-kserve.backend.lmcache-server.endpoint" .) | quote }}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.notes" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
kubectl logs -n {{ .Release.Namespace }} deployment/{{ include "lmcache-kserve.backend.name" . }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.warning" -}}
lmcache_server never evicts and has no password. Replicas do not find it again after a restart. Prefer redis or valkey.
{{- end }}
