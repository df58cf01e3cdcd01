{{/*
lmcache_server, LMCache's own server (`lm://`). It is legacy: it has no eviction, no authentication and no TLS. LMCache's client
keeps one connection for ever, so replicas need a restart after the server's.
*/}}

{{- define "lmcache-kserve.backend.lmcache-server.answers" -}}
lmcache-server: [config, endpoint, notes, ports, problems]
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.endpoint" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
{{ include "lmcache-kserve.backend.name" . }}.{{ .Release.Namespace }}.svc:{{ int .Values.remoteBackend.lmcacheServer.port }}
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
