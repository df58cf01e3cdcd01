{{/*
Redis. Everything it shares with Valkey is in ../resp/.
*/}}
{{- define "lmcache-kserve.backend.redis.deployed" -}}
{{- include "lmcache-kserve.resp.deployed" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.endpoint" -}}
{{- include "lmcache-kserve.resp.endpoint" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.ports" -}}
{{- include "lmcache-kserve.resp.ports" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.credentials" -}}
{{- include "lmcache-kserve.resp.credentials" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.config" -}}
{{- include "lmcache-kserve.resp.config" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.module" }}{{ end }}
{{- define "lmcache-kserve.backend.redis.env" -}}
{{- include "lmcache-kserve.resp.env" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.volumes" -}}
{{- include "lmcache-kserve.resp.volumes" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.volumeMounts" -}}
{{- include "lmcache-kserve.resp.volumeMounts" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.l2Adapter" -}}
{{- include "lmcache-kserve.resp.l2Adapter" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.l2Env" -}}
{{- include "lmcache-kserve.resp.l2Env" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.secretChecksum" -}}
{{- include "lmcache-kserve.resp.secretChecksum" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.generatedPassword" -}}
{{- include "lmcache-kserve.resp.generatedPassword" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.problems" -}}
{{- include "lmcache-kserve.resp.problems" (dict "context" . "type" "redis") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis.notes" -}}
{{- include "lmcache-kserve.resp.notes" (dict "context" . "type" "redis") -}}
{{- end }}

{{/* Whether the chart deploys it and it is the chosen type. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.redis.rendered" -}}
{{- if and (eq .Values.remoteBackend.type "redis") .Values.remoteBackend.redis.deploy }}true{{ end -}}
{{- end }}
