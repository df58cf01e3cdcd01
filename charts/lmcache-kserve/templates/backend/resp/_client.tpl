{{/*
How LMCache reaches a server that speaks Redis' protocol. In mode in-process: through redis-py, glide, or the chart's connector
files/direct_redis.py. In mode multiprocess: through LMCache's own client, or the chart's client files/direct_client.py.
*/}}

{{/* Whether LMCache encrypts its connection to an external server. A proxy does it instead. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.tls" -}}
  {{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
  {{- if and (not $values.deploy) $values.external.tls.enabled (not (include "lmcache-kserve.backend.resp.proxied" .)) }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.credentials" -}}
{{- if (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth.enabled }}true{{ end -}}
{{- end }}

{{/* Scheme, endpoint and database of the server, without credentials. */}}
{{- define "lmcache-kserve.backend.resp.address" -}}
  {{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
  {{- $scheme := ternary "rediss" "redis" (eq "true" (include "lmcache-kserve.backend.resp.tls" .)) -}}
  {{- $database := ternary 0 (int $values.external.database) $values.deploy -}}
  {{- printf "%s://%s/%d" $scheme (include "lmcache-kserve.backend.resp.endpoint" .) $database -}}
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
  {{- if include "lmcache-kserve.backend.resp.tls" . -}}
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
  {{- printf "%s?%s" (include "lmcache-kserve.backend.resp.address" .) (join "&" $options) -}}
{{- end }}

{{/*
What LMCache of mode in-process connects with: redis-py, glide, which only valkey can choose, or direct. auto is direct, unless the
LMCache of the image or the user's configuration cannot do with it.
*/}}
{{- define "lmcache-kserve.backend.resp.client" -}}
  {{- $client := get (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)) "client" -}}
  {{- if ne $client "auto" -}}
    {{- $client -}}
  {{- else if or (get .Values.lmcache.config "enable_scheduler_bypass_lookup") (get .Values.lmcache.config "remote_storage_plugins") -}}
redis-py
  {{- else -}}
    {{- ternary "direct" "redis-py" (eq "true" (include "lmcache-kserve.versions.has" (list . "lmcache" "connectorsByName"))) -}}
  {{- end -}}
{{- end }}

{{/* Whether LMCache uses its glide client. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.glide" -}}
{{- if eq (include "lmcache-kserve.backend.resp.client" .) "glide" }}true{{ end -}}
{{- end }}

{{/* Whether LMCache uses the chart's connector. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.direct" -}}
{{- if eq (include "lmcache-kserve.backend.resp.client" .) "direct" }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.module" -}}
{{- if include "lmcache-kserve.backend.resp.direct" . }}direct_redis redis_connections{{ end -}}
{{- end }}

{{/*
Settings of the chart's clients, without credentials; files/direct_redis.py describes them. Input: dict "context" $
"connections" (how many for loads, and as many for stores). Output: YAML dict.
*/}}
{{- define "lmcache-kserve.backend.resp.directSettings" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .context) -}}
{{- $tls := $values.external.tls -}}
{{- $path := include "lmcache-kserve.backend.resp.tlsPath" .context -}}
direct_redis_url: {{ include "lmcache-kserve.backend.resp.address" .context | quote }}
direct_redis_connections: {{ int .connections }}
direct_redis_connect_s: {{ include "lmcache-kserve.number" $values.timeouts.connectSeconds }}
direct_redis_command_s: {{ include "lmcache-kserve.number" $values.timeouts.commandSeconds }}
{{- if include "lmcache-kserve.backend.resp.tls" .context }}
direct_redis_verify: {{ $tls.verify }}
{{- if or $tls.caSecret $tls.caConfigMap }}
direct_redis_ca: {{ printf "%s/ca/%s" $path $tls.caSecretKey | quote }}
{{- end }}
{{- if $tls.clientSecret }}
direct_redis_certificate: {{ $path }}/client/tls.crt
direct_redis_key: {{ $path }}/client/tls.key
{{- end }}
{{- end }}
{{- end }}

{{/* LMCache's configuration for the chart's connector. The launcher fills in the password. */}}
{{- define "lmcache-kserve.backend.resp.directConfig" -}}
{{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
remote_storage_plugins:
  - direct
extra_config:
  remote_storage_plugin.direct.module_path: direct_redis
  remote_storage_plugin.direct.class_name: DirectRedisConnector
  {{- include "lmcache-kserve.backend.resp.directSettings" (dict "context" . "connections" $values.connections) | nindent 2 }}
  {{- if include "lmcache-kserve.backend.resp.credentials" . }}
  {{- with $values.auth.username }}
  direct_redis_username: {{ . | quote }}
  {{- end }}
  direct_redis_password: "%REMOTE_BACKEND_PASSWORD%"
  {{- end }}
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
{{- else if include "lmcache-kserve.backend.resp.direct" . }}
{{ include "lmcache-kserve.backend.resp.directConfig" . }}
{{- else if not (include "lmcache-kserve.backend.resp.credentials" .) }}
remote_url: {{ include "lmcache-kserve.backend.resp.url" . | quote }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.resp.env" -}}
{{- if include "lmcache-kserve.backend.resp.credentials" . }}
{{- if eq (include "lmcache-kserve.backend.resp.client" .) "redis-py" }}
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

{{/*
Whether LMCache's server of mode multiprocess uses the chart's client: where client is direct, and where client is auto and asks
for what LMCache's own client of that mode lacks, TLS and databases. Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.backend.resp.l2Direct" -}}
  {{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
  {{- $asked := or (include "lmcache-kserve.backend.resp.tls" .) (and (not $values.deploy) $values.external.database) -}}
  {{- if or (eq $values.client "direct") (and (eq $values.client "auto") $asked) }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.l2Module" -}}
{{- if include "lmcache-kserve.backend.resp.l2Direct" . }}direct_client direct_redis redis_connections{{ end -}}
{{- end }}

{{/*
The adapter of mode multiprocess: the chart's client as a plugin, or LMCache's own client. files/mp_server.py attaches the latter
again after the server was lost; the former connects again itself.
*/}}
{{- define "lmcache-kserve.backend.resp.l2Adapter" -}}
  {{- $workers := int .Values.lmcache.multiprocess.l2Workers -}}
  {{- with include "lmcache-kserve.backend.resp.endpoint" . -}}
    {{- if include "lmcache-kserve.backend.resp.l2Direct" $ -}}
      {{- dict "type" "native_plugin"
            "module_path" "direct_client"
            "class_name" "DirectClient"
            "adapter_params" (include "lmcache-kserve.backend.resp.directSettings" (dict "context" $ "connections" $workers) | fromYaml)
            | toJson -}}
    {{- else -}}
      {{- $port := splitList ":" . | last -}}
      {{- dict "type" "resp"
            "host" (trimSuffix (printf ":%s" $port) . | trimPrefix "[" | trimSuffix "]")
            "port" (int $port)
            "num_workers" $workers | toJson -}}
    {{- end -}}
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
