{{/*
Valkey, through LMCache's redis client. Everything it shares with Redis is in ../resp/.
*/}}
{{- define "lmcache-kserve.backend.valkey.deployed" -}}
{{- include "lmcache-kserve.resp.deployed" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.endpoint" -}}
{{- include "lmcache-kserve.resp.endpoint" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.ports" -}}
{{- include "lmcache-kserve.resp.ports" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.credentials" -}}
{{- include "lmcache-kserve.resp.credentials" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.config" -}}
{{- include "lmcache-kserve.resp.config" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.module" }}{{ end }}
{{- define "lmcache-kserve.backend.valkey.env" -}}
{{- include "lmcache-kserve.resp.env" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.volumes" -}}
{{- include "lmcache-kserve.resp.volumes" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.volumeMounts" -}}
{{- include "lmcache-kserve.resp.volumeMounts" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.l2Adapter" -}}
{{- include "lmcache-kserve.resp.l2Adapter" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.l2Env" -}}
{{- include "lmcache-kserve.resp.l2Env" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.secretChecksum" -}}
{{- include "lmcache-kserve.resp.secretChecksum" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.generatedPassword" -}}
{{- include "lmcache-kserve.resp.generatedPassword" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.problems" -}}
{{- include "lmcache-kserve.resp.problems" (dict "context" . "type" "valkey") -}}
{{- end }}
{{- define "lmcache-kserve.backend.valkey.notes" -}}
{{- include "lmcache-kserve.resp.notes" (dict "context" . "type" "valkey") -}}
{{- end }}

{{/* Whether the chart deploys it and it is the chosen type. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.valkey.rendered" -}}
{{- if and (eq .Values.remoteBackend.type "valkey") .Values.remoteBackend.valkey.deploy }}true{{ end -}}
{{- end }}
