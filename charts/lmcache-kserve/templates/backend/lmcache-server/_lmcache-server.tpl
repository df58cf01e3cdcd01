{{/*
lmcache_server, LMCache's own server (`lm://`). Legacy: no eviction, no authentication, no TLS, and LMCache's client keeps
one connection for ever, so replicas need a restart after the server's.
*/}}

{{- define "lmcache-kserve.backend.lmcache-server.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "lmcache-server") -}}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.deployed" -}}
{{- if .Values.remoteBackend.lmcacheServer.deploy }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.endpoint" -}}
{{- if include "lmcache-kserve.backend.lmcache-server.deployed" . -}}
{{ include "lmcache-kserve.backend.lmcache-server.name" . }}.{{ .Release.Namespace }}.svc:{{ int .Values.remoteBackend.lmcacheServer.port }}
{{- else -}}
{{ .Values.remoteBackend.lmcacheServer.external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.ports" -}}
{{- list (include "lmcache-kserve.backend.lmcache-server.endpoint" . | splitList ":" | last | int) | toJson -}}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.credentials" }}{{ end }}

{{- define "lmcache-kserve.backend.lmcache-server.config" -}}
remote_serde: {{ .Values.lmcache.serde }}
remote_url: {{ printf "lm://%s" (include "lmcache-kserve.backend.lmcache-server.endpoint" .) | quote }}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.module" }}{{ end }}
{{- define "lmcache-kserve.backend.lmcache-server.env" }}{{ end }}
{{- define "lmcache-kserve.backend.lmcache-server.volumes" }}{{ end }}
{{- define "lmcache-kserve.backend.lmcache-server.volumeMounts" }}{{ end }}
{{- define "lmcache-kserve.backend.lmcache-server.l2Adapter" }}{{ end }}
{{- define "lmcache-kserve.backend.lmcache-server.l2Env" }}{{ end }}
{{- define "lmcache-kserve.backend.lmcache-server.secretChecksum" }}{{ end }}
{{- define "lmcache-kserve.backend.lmcache-server.generatedPassword" }}{{ end }}

{{- define "lmcache-kserve.backend.lmcache-server.problems" -}}
{{- $values := .Values.remoteBackend.lmcacheServer -}}
{{- if $values.external.tls.enabled }}
remoteBackend.lmcacheServer.external.tls.enabled: lm:// has no TLS; use redis or valkey for an encrypted connection
{{- end }}
{{- if $values.deploy }}
{{- if $values.external.endpoint }}
remoteBackend.lmcacheServer.external.endpoint: names a server, but remoteBackend.lmcacheServer.deploy is true; set it to false to use that server
{{- end }}
{{- if gt (int $values.replicas) 1 }}
remoteBackend.lmcacheServer.replicas: must be 1; behind one Service each of {{ int $values.replicas }} would hold other chunks
{{- end }}
{{- if and (or $values.image.tag $values.image.digest) (not $values.image.repository) }}
remoteBackend.lmcacheServer.image.repository: is required when its tag or digest is set
{{- end }}
{{- if and $values.image.repository (not (or $values.image.tag $values.image.digest)) }}
remoteBackend.lmcacheServer.image.tag: is required with remoteBackend.lmcacheServer.image.repository, unless digest is set
{{- end }}
{{- else if not $values.external.endpoint }}
remoteBackend.lmcacheServer.external.endpoint: is required (host:port) when remoteBackend.lmcacheServer.deploy is false
{{- end }}
{{- /* Its protocol has 150 characters for a key, of which up to 85 are not the model's. */}}
{{- if and (not .Values.model.storageUri) (gt (len .Values.model.id) 64) }}
model.id: has {{ len .Values.model.id }} characters; lm:// keys have room for 64, use another backend or storageUri
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.lmcache-server.notes" -}}
{{- if include "lmcache-kserve.backend.lmcache-server.deployed" . -}}
kubectl logs -n {{ .Release.Namespace }} deployment/{{ include "lmcache-kserve.backend.lmcache-server.name" . }}
{{- end -}}
{{- end }}

{{/* Whether the chart deploys it and it is the chosen type. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.lmcache-server.rendered" -}}
{{- if and (eq .Values.remoteBackend.type "lmcache-server") .Values.remoteBackend.lmcacheServer.deploy }}true{{ end -}}
{{- end }}
