{{/*
Servers that speak Redis' protocol: redis and valkey, deployed or external, and how LMCache reaches the proxy of redis-sentinel.
Every template here takes the root context and reads the values of the chosen type. The name of redis and valkey is also the
name of their programs (<type>-server, <type>-cli).
*/}}

{{- define "lmcache-kserve.backend.redis.answers" -}}
resp: [capacity, config, credentials, endpoint, env, generatedPassword, l2Adapter, l2Env, l2Module, metrics,
       module, notes, ports, problems, secretChecksum, volumeMounts, volumes]
{{- end }}

{{- define "lmcache-kserve.backend.valkey.answers" -}}
{{ include "lmcache-kserve.backend.redis.answers" . }}
{{- end }}

{{- define "lmcache-kserve.backend.resp.capacity" -}}
{{- if include "lmcache-kserve.backend.deployed" . }}{{ include "lmcache-kserve.backend.resp.maxmemory" . | trim }}{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.port" -}}
6379
{{- end }}

{{/* Whether a proxy of the release stands between LMCache and the servers, deployed or external. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.proxied" -}}
  {{- if hasKey (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)) "proxy" }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.endpoint" -}}
  {{- if or (include "lmcache-kserve.backend.deployed" .) (include "lmcache-kserve.backend.resp.proxied" .) -}}
    {{- include "lmcache-kserve.backend.host" . }}:{{ include "lmcache-kserve.backend.resp.port" . -}}
  {{- else -}}
    {{- (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).external.endpoint -}}
  {{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.ports" -}}
- {{ include "lmcache-kserve.backend.resp.endpoint" . | splitList ":" | last | int }}
{{- end }}

{{- define "lmcache-kserve.backend.resp.notes" -}}
{{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
{{- $client := printf "%s-cli" .Values.remoteBackend.type -}}
{{- if $values.deploy -}}
{{- $workload := printf "%s/%s" (ternary "statefulset" "deployment" $values.persistence.enabled) (include "lmcache-kserve.backend.name" .) -}}
kubectl exec -n {{ .Release.Namespace }} {{ $workload }} -- {{ $client }} dbsize
kubectl exec -n {{ .Release.Namespace }} {{ $workload }} -- {{ $client }} info memory
{{- else -}}
{{ $client }} -u {{ include "lmcache-kserve.backend.resp.url" . | splitList "?" | first }} --askpass dbsize
{{- end -}}
{{- end }}
