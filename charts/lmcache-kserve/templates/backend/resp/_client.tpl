{{/*
How LMCache reaches a server that speaks Redis' protocol: through redis-py, glide, or the adapter of mode multiprocess.
*/}}

{{/* Whether LMCache encrypts its connection to an external server. A proxy does it instead. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.tls" -}}
  {{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
  {{- if and (not $values.deploy) $values.external.tls.enabled (not (include "lmcache-kserve.backend.resp.proxied" .)) }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.credentials" -}}
{{- if (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth.enabled }}true{{ end -}}
{{- end }}

{{/*
URL for LMCache's redis client, without credentials. The timeouts keep a dead backend from holding up requests. After a
server was replaced, each connection in the client's pool would lose one command. So the client checks a connection that
has been idle for a second, and repeats a command after a timeout.
*/}}
{{- define "lmcache-kserve.backend.resp.url" -}}
  {{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
  {{- $tls := $values.external.tls -}}
  {{- $options := list
        (printf "socket_connect_timeout=%s" (include "lmcache-kserve.number" $values.timeouts.connectSeconds))
        (printf "socket_timeout=%s" (include "lmcache-kserve.number" $values.timeouts.commandSeconds))
        "health_check_interval=1"
        "retry_on_timeout=true" -}}
  {{- $scheme := "redis" -}}
  {{- $database := 0 -}}
  {{- if not $values.deploy -}}
    {{- $database = int $values.external.database -}}
    {{- if include "lmcache-kserve.backend.resp.tls" . -}}
      {{- $scheme = "rediss" -}}
      {{- $path := include "lmcache-kserve.backend.resp.tlsPath" . -}}
      {{- if $tls.verify -}}
        {{- $options = concat $options (list "ssl_cert_reqs=required" "ssl_check_hostname=true") -}}
      {{- else -}}
        {{- $options = concat $options (list "ssl_cert_reqs=none" "ssl_check_hostname=false") -}}
      {{- end -}}
      {{- if or $tls.caSecret $tls.caConfigMap -}}
        {{- $options = append $options (printf "ssl_ca_certs=%s/ca/%s" $path $tls.caSecretKey) -}}
      {{- end -}}
      {{- if $tls.clientSecret -}}
        {{- $options = concat $options (list (printf "ssl_certfile=%s/client/tls.crt" $path) (printf "ssl_keyfile=%s/client/tls.key" $path)) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- printf "%s://%s/%d?%s" $scheme (include "lmcache-kserve.backend.resp.endpoint" .) $database (join "&" $options) -}}
{{- end }}

{{/* Whether LMCache uses its glide client, which only valkey can choose. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.glide" -}}
{{- if eq (get (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)) "client" | default "redis-py") "glide" }}true{{ end -}}
{{- end }}

{{/*
LMCache's configuration for the glide client. Settings take the place of the options in the redis client's URL, and the launcher
fills in the password.
*/}}
{{- define "lmcache-kserve.backend.resp.glideConfig" -}}
{{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
remote_url: {{ printf "valkey://%s" (include "lmcache-kserve.backend.resp.endpoint" .) | quote }}
extra_config:
  save_chunk_meta: false
  connection_timeout: {{ include "lmcache-kserve.number" $values.timeouts.connectSeconds }}
  request_timeout: {{ include "lmcache-kserve.number" $values.timeouts.commandSeconds }}
  {{- if not $values.deploy }}
  valkey_database: {{ int $values.external.database }}
  tls_enable: {{ $values.external.tls.enabled }}
  {{- end }}
  {{- if include "lmcache-kserve.backend.resp.credentials" . }}
  {{- with $values.auth.username }}
  valkey_username: {{ . | quote }}
  {{- end }}
  valkey_password: "%REMOTE_BACKEND_PASSWORD%"
  {{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.resp.tlsPath" -}}
/etc/lmcache-kserve-tls
{{- end }}

{{/* With credentials the launcher completes the URL, so the configuration must not name the URL too. */}}
{{- define "lmcache-kserve.backend.resp.config" -}}
remote_serde: {{ .Values.lmcache.serde }}
{{- if include "lmcache-kserve.backend.resp.glide" . }}
{{ include "lmcache-kserve.backend.resp.glideConfig" . }}
{{- else if not (include "lmcache-kserve.backend.resp.credentials" .) }}
remote_url: {{ include "lmcache-kserve.backend.resp.url" . | quote }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.resp.env" -}}
{{- if include "lmcache-kserve.backend.resp.credentials" . }}
{{- if not (include "lmcache-kserve.backend.resp.glide" .) }}
- name: REMOTE_BACKEND_URL
  value: {{ include "lmcache-kserve.backend.resp.url" . | quote }}
{{- end }}
{{- with (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth.username }}
- name: REMOTE_BACKEND_USERNAME
  value: {{ . | quote }}
{{- end }}
- name: REMOTE_BACKEND_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "lmcache-kserve.backend.resp.secretName" . | quote }}
      key: {{ include "lmcache-kserve.backend.resp.secretKey" . | quote }}
{{- end }}
{{- end }}

{{/* Mode multiprocess connects with LMCache's native client, which has neither TLS nor databases. */}}
{{- define "lmcache-kserve.backend.resp.l2Adapter" -}}
  {{- with include "lmcache-kserve.backend.resp.endpoint" . -}}
    {{- $port := splitList ":" . | last -}}
    {{- dict "type" "resp"
          "host" (trimSuffix (printf ":%s" $port) . | trimPrefix "[" | trimSuffix "]")
          "port" (int $port)
          "num_workers" (int $.Values.lmcache.multiprocess.l2Workers) | toJson -}}
  {{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.l2Env" -}}
{{- if include "lmcache-kserve.backend.resp.credentials" . }}
{{- with (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth.username }}
- name: LMCACHE_RESP_USERNAME
  value: {{ . | quote }}
{{- end }}
- name: LMCACHE_RESP_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "lmcache-kserve.backend.resp.secretName" . | quote }}
      key: {{ include "lmcache-kserve.backend.resp.secretKey" . | quote }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.resp.volumes" -}}
{{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
{{- if include "lmcache-kserve.backend.resp.tls" . }}
{{- include "lmcache-kserve.backend.caVolume" (dict "name" "backend-ca" "tls" $values.external.tls) }}
{{- with $values.external.tls.clientSecret }}
- name: backend-client
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.resp.volumeMounts" -}}
{{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
{{- if include "lmcache-kserve.backend.resp.tls" . }}
{{- if or $values.external.tls.caSecret $values.external.tls.caConfigMap }}
- name: backend-ca
  mountPath: {{ include "lmcache-kserve.backend.resp.tlsPath" . }}/ca
  readOnly: true
{{- end }}
{{- if $values.external.tls.clientSecret }}
- name: backend-client
  mountPath: {{ include "lmcache-kserve.backend.resp.tlsPath" . }}/client
  readOnly: true
{{- end }}
{{- end }}
{{- end }}
