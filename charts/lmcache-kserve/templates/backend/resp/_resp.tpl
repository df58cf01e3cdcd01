{{/*
Servers that speak Redis' protocol: what Redis and Valkey have in common, in both the deployed and the external form, and
how LMCache reaches the proxy of redis-sentinel. Every template here takes dict "context" $ "type" "redis"; of a single
server the type is also the name of the programs (<type>-server, <type>-cli).
*/}}

{{- define "lmcache-kserve.resp.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" .context "suffix" .type) -}}
{{- end }}

{{- define "lmcache-kserve.resp.port" -}}
6379
{{- end }}

{{- define "lmcache-kserve.resp.deployed" -}}
{{- if (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).deploy }}true{{ end -}}
{{- end }}

{{/* Whether a proxy of the release stands between LMCache and the servers, deployed or external. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.resp.proxied" -}}
{{- if hasKey (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)) "proxy" }}true{{ end -}}
{{- end }}

{{/* host:port. */}}
{{- define "lmcache-kserve.resp.endpoint" -}}
{{- if or (include "lmcache-kserve.resp.deployed" .) (include "lmcache-kserve.resp.proxied" .) -}}
{{ include "lmcache-kserve.resp.name" . }}.{{ .context.Release.Namespace }}.svc:{{ include "lmcache-kserve.resp.port" . }}
{{- else -}}
{{ (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.ports" -}}
{{- list (include "lmcache-kserve.resp.endpoint" . | splitList ":" | last | int) | toJson -}}
{{- end }}

{{- define "lmcache-kserve.resp.notes" -}}
{{- if include "lmcache-kserve.resp.deployed" . -}}
{{- $kind := ternary "statefulset" "deployment" (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).persistence.enabled -}}
kubectl exec -n {{ .context.Release.Namespace }} {{ $kind }}/{{ include "lmcache-kserve.resp.name" . }} -- {{ .type }}-cli dbsize
kubectl exec -n {{ .context.Release.Namespace }} {{ $kind }}/{{ include "lmcache-kserve.resp.name" . }} -- {{ .type }}-cli info memory
{{- else -}}
{{ .type }}-cli -u {{ include "lmcache-kserve.resp.url" . | splitList "?" | first }} --askpass dbsize
{{- end -}}
{{- end }}
