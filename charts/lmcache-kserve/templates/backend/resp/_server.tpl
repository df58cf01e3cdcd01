{{/*
What a server needs, whether it is the one of redis and valkey or a node of redis-sentinel.
*/}}

{{/* Memory for chunks, in bytes. */}}
{{- define "lmcache-kserve.backend.resp.maxmemory" -}}
  {{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
  {{- if $values.maxmemory -}}
    {{- include "lmcache-kserve.bytes" $values.maxmemory -}}
  {{- else -}}
    {{- $limit := dig "limits" "memory" "" $values.resources -}}
    {{- div (mul (include "lmcache-kserve.bytes" $limit | int64) 8) 10 -}}
  {{- end -}}
{{- end }}

{{/*
The server's configuration, one directive a line. The user's directives win. YAML reads the words yes and no as Booleans, and the
server takes these words only.
Input: dict "context" $, optional "directives" dict, which wins over the directives here.
*/}}
{{- define "lmcache-kserve.backend.resp.serverConfig" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .context) -}}
{{- $directives := dict
      "bind" "* -::*"
      "protected-mode" "no"
      "dir" "/data"
      "maxmemory" (include "lmcache-kserve.backend.resp.maxmemory" .context)
      "maxmemory-policy" "allkeys-lru"
      "save" "\"\""
      "appendonly" (ternary "yes" "no" $values.persistence.enabled) -}}
{{- $users := include "lmcache-kserve.withoutNulls" $values.config | fromJson -}}
{{- range $directive, $arguments := merge $users (default dict .directives) $directives }}
{{- range (kindIs "slice" $arguments | ternary $arguments (list $arguments)) }}
{{ $directive }} {{ if kindIs "bool" . }}{{ ternary "yes" "no" . }}{{ else }}{{ include "lmcache-kserve.string" . }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
An authenticated PING. A password from a file that ends in a newline works too, as it does in the start script.
Input: dict "context" $ "program" (whose -cli to run), optional "port" and "and", a further condition in shell.
*/}}
{{- define "lmcache-kserve.backend.resp.ping" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .context) -}}
{{- $client := printf "%s-cli" .program -}}
{{- $condition := printf "[ \"$(%s \"$@\" ping)\" = PONG ]" $client -}}
{{- with .and }}{{ $condition = printf "%s && %s" $condition . }}{{ end -}}
exec:
  command:
    - sh
    - -ec
    {{- if $values.auth.enabled }}
    - {{ printf "REDISCLI_AUTH=\"$(printf '%%s' \"$REDISCLI_AUTH\")\"; export REDISCLI_AUTH; %s" $condition | quote }}
    {{- else }}
    - {{ quote $condition }}
    {{- end }}
    - {{ $client }}
    - -p
    - {{ default (include "lmcache-kserve.backend.resp.port" .context) .port | quote }}
{{- end }}
