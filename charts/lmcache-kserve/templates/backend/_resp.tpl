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

{{/* Whether LMCache's own connection is encrypted: with an external server, unless a proxy does it. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.resp.tls" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- if and (not $values.deploy) $values.external.tls.enabled (not (include "lmcache-kserve.resp.proxied" .)) }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.resp.credentials" -}}
{{- if (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.enabled }}true{{ end -}}
{{- end }}

{{/*
URL for LMCache's redis client, without credentials. The timeouts keep a dead backend from holding up requests. The
client's pool still holds connections to a server that has been replaced, and each of them would lose one command:
it checks what has been idle for a second before it uses it, and repeats a command that ran into a timeout.
*/}}
{{- define "lmcache-kserve.resp.url" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
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
  {{- if include "lmcache-kserve.resp.tls" . -}}
    {{- $scheme = "rediss" -}}
    {{- $path := include "lmcache-kserve.resp.tlsPath" . -}}
    {{- if $tls.verify -}}
      {{- $options = concat $options (list "ssl_cert_reqs=required" "ssl_check_hostname=true") -}}
    {{- else -}}
      {{- $options = concat $options (list "ssl_cert_reqs=none" "ssl_check_hostname=false") -}}
    {{- end -}}
    {{- if $tls.caSecret -}}
      {{- $options = append $options (printf "ssl_ca_certs=%s/ca/%s" $path $tls.caSecretKey) -}}
    {{- end -}}
    {{- if $tls.clientSecret -}}
      {{- $options = concat $options (list (printf "ssl_certfile=%s/client/tls.crt" $path) (printf "ssl_keyfile=%s/client/tls.key" $path)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- printf "%s://%s/%d?%s" $scheme (include "lmcache-kserve.resp.endpoint" .) $database (join "&" $options) -}}
{{- end }}

{{/* Whether LMCache's glide client is used, which only Valkey can choose. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.resp.glide" -}}
{{- if eq (get (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)) "client" | default "redis-py") "glide" }}true{{ end -}}
{{- end }}

{{/*
LMCache's part for the glide client: what the redis client takes from its URL are settings here, and the password is filled
in by the launcher.
*/}}
{{- define "lmcache-kserve.resp.glideConfig" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
remote_url: {{ printf "valkey://%s" (include "lmcache-kserve.resp.endpoint" .) | quote }}
extra_config:
  save_chunk_meta: false
  connection_timeout: {{ include "lmcache-kserve.number" $values.timeouts.connectSeconds }}
  request_timeout: {{ include "lmcache-kserve.number" $values.timeouts.commandSeconds }}
  {{- if not $values.deploy }}
  valkey_database: {{ int $values.external.database }}
  tls_enable: {{ $values.external.tls.enabled }}
  {{- end }}
  {{- if include "lmcache-kserve.resp.credentials" . }}
  {{- with $values.auth.username }}
  valkey_username: {{ . | quote }}
  {{- end }}
  valkey_password: "%REMOTE_BACKEND_PASSWORD%"
  {{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.tlsPath" -}}
/etc/lmcache-kserve-tls
{{- end }}

{{/* With credentials the launcher completes the URL, so the configuration must not name it too. */}}
{{- define "lmcache-kserve.resp.config" -}}
remote_serde: {{ .context.Values.lmcache.serde }}
{{- if include "lmcache-kserve.resp.glide" . }}
{{ include "lmcache-kserve.resp.glideConfig" . }}
{{- else if not (include "lmcache-kserve.resp.credentials" .) }}
remote_url: {{ include "lmcache-kserve.resp.url" . | quote }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.env" -}}
{{- if include "lmcache-kserve.resp.credentials" . }}
{{- if not (include "lmcache-kserve.resp.glide" .) }}
- name: REMOTE_BACKEND_URL
  value: {{ include "lmcache-kserve.resp.url" . | quote }}
{{- end }}
{{- with (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.username }}
- name: REMOTE_BACKEND_USERNAME
  value: {{ . | quote }}
{{- end }}
- name: REMOTE_BACKEND_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "lmcache-kserve.resp.secretName" . }}
      key: {{ include "lmcache-kserve.resp.secretKey" . }}
{{- end }}
{{- end }}

{{/* What the server of mode multiprocess connects with: LMCache's native client, without TLS and databases. */}}
{{- define "lmcache-kserve.resp.l2Adapter" -}}
{{- with include "lmcache-kserve.resp.endpoint" . -}}
{{- $port := splitList ":" . | last -}}
{{- dict "type" "resp"
      "host" (trimSuffix (printf ":%s" $port) . | trimPrefix "[" | trimSuffix "]")
      "port" (int $port)
      "num_workers" (int $.context.Values.lmcache.multiprocess.l2Workers) | toJson -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.l2Env" -}}
{{- if include "lmcache-kserve.resp.credentials" . }}
{{- with (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.username }}
- name: LMCACHE_RESP_USERNAME
  value: {{ . | quote }}
{{- end }}
- name: LMCACHE_RESP_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "lmcache-kserve.resp.secretName" . }}
      key: {{ include "lmcache-kserve.resp.secretKey" . }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.volumes" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- if include "lmcache-kserve.resp.tls" . }}
{{- with $values.external.tls.caSecret }}
- name: backend-ca
  secret:
    secretName: {{ . }}
{{- end }}
{{- with $values.external.tls.clientSecret }}
- name: backend-client
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.volumeMounts" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- if include "lmcache-kserve.resp.tls" . }}
{{- if $values.external.tls.caSecret }}
- name: backend-ca
  mountPath: {{ include "lmcache-kserve.resp.tlsPath" . }}/ca
  readOnly: true
{{- end }}
{{- if $values.external.tls.clientSecret }}
- name: backend-client
  mountPath: {{ include "lmcache-kserve.resp.tlsPath" . }}/client
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.secretName" -}}
{{- default (include "lmcache-kserve.resp.name" .) (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.existingSecret -}}
{{- end }}

{{- define "lmcache-kserve.resp.secretKey" -}}
{{- with (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth -}}
{{- ternary .existingSecretKey "password" (ne .existingSecret "") -}}
{{- end -}}
{{- end }}

{{/* Whether the chart keeps the password in a Secret of its own. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.resp.ownSecret" -}}
{{- with (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth -}}
{{- if and .enabled (not .existingSecret) }}true{{ end -}}
{{- end -}}
{{- end }}

{{/*
The password that the chart keeps: the user's, the one in the cluster, or a new one. What is not the user's is remembered
beside the values for the rest of the render, so that Secret and checksum agree.
*/}}
{{- define "lmcache-kserve.resp.password" -}}
{{- $auth := (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth -}}
{{- if $auth.password -}}
  {{- $auth.password -}}
{{- else -}}
  {{- if not $auth.generated -}}
    {{- $secret := lookup "v1" "Secret" .context.Release.Namespace (include "lmcache-kserve.resp.name" .) -}}
    {{- $existing := dig "data" "password" "" (default dict $secret) -}}
    {{- $_ := set $auth "generated" (default (randAlphaNum 32) (b64dec $existing)) -}}
  {{- end -}}
  {{- $auth.generated -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.generatedPassword" -}}
{{- if and (include "lmcache-kserve.resp.ownSecret" .) (not (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.password) -}}
{{- include "lmcache-kserve.resp.name" . -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.secretChecksum" -}}
{{- if include "lmcache-kserve.resp.ownSecret" . -}}
{{- include "lmcache-kserve.resp.password" . | sha256sum -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.secret" -}}
apiVersion: v1
kind: Secret
{{ include "lmcache-kserve.metadata" (dict "context" .context "name" (include "lmcache-kserve.resp.name" .) "component" "remote-backend") }}
type: Opaque
data:
  password: {{ include "lmcache-kserve.resp.password" . | b64enc | quote }}
{{- end }}

{{/* Memory for chunks, in bytes. */}}
{{- define "lmcache-kserve.resp.maxmemory" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- if $values.maxmemory -}}
{{- include "lmcache-kserve.bytes" $values.maxmemory -}}
{{- else -}}
{{- $limit := dig "limits" "memory" "" $values.resources -}}
{{- div (mul (include "lmcache-kserve.bytes" $limit | int64) 8) 10 -}}
{{- end -}}
{{- end }}

{{/* The server's configuration, one directive a line. Input: also optional "directives" dict, between the chart's and the user's. */}}
{{- define "lmcache-kserve.resp.serverConfig" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- $directives := dict
      "bind" "* -::*"
      "protected-mode" "no"
      "dir" "/data"
      "maxmemory" (include "lmcache-kserve.resp.maxmemory" .)
      "maxmemory-policy" "allkeys-lru"
      "save" "\"\""
      "appendonly" (ternary "yes" "no" $values.persistence.enabled) -}}
{{- range $directive, $arguments := merge (include "lmcache-kserve.withoutNulls" $values.config | fromJson) (default dict .directives) $directives }}
{{- range (kindIs "slice" $arguments | ternary $arguments (list $arguments)) }}
{{ $directive }} {{ include "lmcache-kserve.string" . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.configMap" -}}
apiVersion: v1
kind: ConfigMap
{{ include "lmcache-kserve.metadata" (dict "context" .context "name" (include "lmcache-kserve.resp.name" .) "component" "remote-backend") }}
data:
  {{ .type }}.conf: |
    {{- include "lmcache-kserve.resp.serverConfig" . | trim | nindent 4 }}
{{- end }}

{{/*
The pod template of the server. Its start script adds the password to a copy of the configuration that only the server can
read; an argument would show it in the process list.
*/}}
{{- define "lmcache-kserve.resp.podTemplate" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- $port := include "lmcache-kserve.resp.port" . -}}
{{- $annotations := dict "checksum/config" (include "lmcache-kserve.resp.serverConfig" . | sha256sum) -}}
{{- with include "lmcache-kserve.resp.secretChecksum" . }}{{ $_ := set $annotations "checksum/password" . }}{{ end -}}
{{ include "lmcache-kserve.workload.podMetadata" (dict "context" .context "values" $values "annotations" $annotations) }}
spec:
  {{- include "lmcache-kserve.workload.podFields" (dict "context" .context "values" $values) | nindent 2 }}
  containers:
    - name: {{ .type }}
      image: {{ include "lmcache-kserve.image" $values.image }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command:
        - sh
        - -ec
        - |
          umask 077
          {
            cat /etc/{{ .type }}/{{ .type }}.conf
            {{- if $values.auth.enabled }}
            echo
            printf 'requirepass "%s"\n' "$(printf '%s' "$REDISCLI_AUTH" | sed 's/[\\"]/\\&/g')"
            {{- end }}
          } > /run/{{ .type }}/{{ .type }}.conf
          exec {{ .type }}-server /run/{{ .type }}/{{ .type }}.conf "$@"
        - {{ .type }}-server
      args:
        - --port
        - {{ $port | quote }}
      {{- if $values.auth.enabled }}
      env:
        # The name by which the command-line client finds the password.
        - name: REDISCLI_AUTH
          valueFrom:
            secretKeyRef:
              name: {{ include "lmcache-kserve.resp.secretName" . }}
              key: {{ include "lmcache-kserve.resp.secretKey" . }}
      {{- end }}
      ports:
        - name: {{ .type }}
          containerPort: {{ $port }}
          protocol: TCP
      {{- /* Loading an append-only file takes its time: the server answers LOADING until then. */}}
      startupProbe:
        {{- include "lmcache-kserve.resp.ping" . | nindent 8 }}
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 300
      readinessProbe:
        {{- include "lmcache-kserve.resp.ping" . | nindent 8 }}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
      livenessProbe:
        {{- include "lmcache-kserve.resp.ping" . | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: config
          mountPath: /etc/{{ .type }}
          readOnly: true
        - name: run
          mountPath: /run/{{ .type }}
        - name: data
          mountPath: /data
  volumes:
    - name: config
      configMap:
        name: {{ include "lmcache-kserve.resp.name" . }}
    - name: run
      emptyDir:
        medium: Memory
        sizeLimit: 1Mi
    {{- if not $values.persistence.enabled }}
    - name: data
      emptyDir: {}
    {{- else if $values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ $values.persistence.existingClaim }}
    {{- end }}
{{- end }}

{{/*
An authenticated PING; a password from a file that ends in a newline works too, as it does in the start script.
Input: also optional "program" (whose -cli to run, the type by default), "port", and "and", a further condition in shell.
*/}}
{{- define "lmcache-kserve.resp.ping" -}}
{{- $client := printf "%s-cli" (default .type .program) -}}
{{- $condition := printf "[ \"$(%s \"$@\" ping)\" = PONG ]" $client -}}
{{- with .and }}{{ $condition = printf "%s && %s" $condition . }}{{ end -}}
exec:
  command:
    - sh
    - -ec
    {{- if (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.enabled }}
    - {{ printf "REDISCLI_AUTH=\"$(printf '%%s' \"$REDISCLI_AUTH\")\"; export REDISCLI_AUTH; %s" $condition | quote }}
    {{- else }}
    - {{ quote $condition }}
    {{- end }}
    - {{ $client }}
    - -p
    - {{ default (include "lmcache-kserve.resp.port" .) .port | quote }}
{{- end }}

{{/* Without persistence: a Deployment that stops the old pod first, so that two never share the Service. */}}
{{- define "lmcache-kserve.resp.deployment" -}}
apiVersion: apps/v1
kind: Deployment
{{ include "lmcache-kserve.metadata" (dict "context" .context "name" (include "lmcache-kserve.resp.name" .) "component" "remote-backend") }}
spec:
  replicas: 1
  strategy:
    type: Recreate
  selector:
    matchLabels:
      {{- include "lmcache-kserve.labels.selector" (dict "context" .context "component" "remote-backend") | nindent 6 }}
  template:
    {{- include "lmcache-kserve.resp.podTemplate" . | nindent 4 }}
{{- end }}

{{/* With persistence: a StatefulSet and its claim. */}}
{{- define "lmcache-kserve.resp.statefulSet" -}}
{{- $persistence := (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).persistence -}}
apiVersion: apps/v1
kind: StatefulSet
{{ include "lmcache-kserve.metadata" (dict "context" .context "name" (include "lmcache-kserve.resp.name" .) "component" "remote-backend") }}
spec:
  replicas: 1
  serviceName: {{ include "lmcache-kserve.resp.name" . }}
  selector:
    matchLabels:
      {{- include "lmcache-kserve.labels.selector" (dict "context" .context "component" "remote-backend") | nindent 6 }}
  template:
    {{- include "lmcache-kserve.resp.podTemplate" . | nindent 4 }}
  {{- if not $persistence.existingClaim }}
  volumeClaimTemplates:
    - metadata:
        name: data
        labels:
          {{- include "lmcache-kserve.labels.selector" (dict "context" .context "component" "remote-backend") | nindent 10 }}
      spec:
        accessModes:
          - ReadWriteOnce
        {{- with $persistence.storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $persistence.size }}
  {{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.service" -}}
{{- include "lmcache-kserve.workload.service" (dict "context" .context "name" (include "lmcache-kserve.resp.name" .) "portName" .type "port" (include "lmcache-kserve.resp.port" .)) -}}
{{- end }}

{{- define "lmcache-kserve.resp.problems" -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- $at := printf "remoteBackend.%s" (include "lmcache-kserve.backend.valuesKey" .type) -}}
{{- $auth := $values.auth -}}
{{- $external := $values.external -}}
{{- if include "lmcache-kserve.resp.glide" . }}
{{- $context := .context }}
{{- if not (include "lmcache-kserve.lmcache.knowsPlugins" $context) }}
{{ $at }}.client: glide is LMCache's client from 0.4.7 on, but lmcache.version says {{ include "lmcache-kserve.lmcache.version" $context }}; use redis-py
{{- end }}
{{- if and (not $context.Values.runtime.image.repository) (eq $context.Values.runtime.server "huggingfaceserver") }}
{{ $at }}.client: KServe's image has no valkey-glide-sync; name one in runtime.image.repository that has it, as images/kserve-backends builds, or use redis-py
{{- end }}
{{- if or $external.tls.caSecret $external.tls.clientSecret (not $external.tls.verify) }}
{{ $at }}.client: LMCache gives glide no certificates and no way not to verify; use redis-py, or leave {{ $at }}.external.tls.caSecret, clientSecret and verify alone
{{- end }}
{{- if get (include "lmcache-kserve.lmcache.config" $context | fromJson) "save_unfull_chunk" }}
lmcache.config.save_unfull_chunk: must be false with {{ $at }}.client glide, which stores whole chunks only
{{- end }}
{{- end }}
{{- $address := ternary "servers" "endpoint" (hasKey $external "servers") -}}
{{- if $values.deploy }}
{{- if get $external $address }}
{{ $at }}.external.{{ $address }}: names a server, but {{ $at }}.deploy is true; set {{ $at }}.deploy to false to use it
{{- end }}
{{- if $external.tls.enabled }}
{{ $at }}.external.tls.enabled: works with an external server only; set {{ $at }}.deploy to false and name its {{ $address }}
{{- end }}
{{- if $external.database }}
{{ $at }}.external.database: works with an external server only; the deployed one is the release's own
{{- end }}
{{- if $auth.username }}
{{ $at }}.auth.username: works with an external server only; the deployed one has its default user
{{- end }}
{{- if not (or $values.maxmemory (dig "limits" "memory" "" $values.resources)) }}
{{ $at }}.resources.limits.memory: is needed to bound the cache, or set {{ $at }}.maxmemory
{{- else if eq (include "lmcache-kserve.resp.maxmemory" . | int64) 0 }}
{{ $at }}.{{ ternary "maxmemory" "resources.limits.memory" (not (empty $values.maxmemory)) }}: is not a quantity above zero, such as 8Gi
{{- end }}
{{- if and $values.persistence.existingClaim (not $values.persistence.enabled) }}
{{ $at }}.persistence.existingClaim: is not used while {{ $at }}.persistence.enabled is false
{{- end }}
{{- else }}
{{- if not (get $external $address) }}
{{ $at }}.external.{{ $address }}: is required (host:port) when {{ $at }}.deploy is false
{{- end }}
{{- if and $auth.enabled (not $auth.existingSecret) (not $auth.password) }}
{{ $at }}.auth: an external server needs auth.existingSecret or auth.password; set auth.enabled to false if it has no password
{{- end }}
{{- if and $external.tls.caSecret (not $external.tls.enabled) }}
{{ $at }}.external.tls.caSecret: is not used while {{ $at }}.external.tls.enabled is false
{{- end }}
{{- if and $external.tls.clientSecret (not $external.tls.enabled) }}
{{ $at }}.external.tls.clientSecret: is not used while {{ $at }}.external.tls.enabled is false
{{- end }}
{{- end }}
{{- if and (include "lmcache-kserve.multiprocess" .context) (not $values.deploy) }}
{{- if include "lmcache-kserve.resp.tls" . }}
{{ $at }}.external.tls.enabled: LMCache's client of lmcache.mode multiprocess has no TLS; use lmcache.mode in-process
{{- end }}
{{- if $external.database }}
{{ $at }}.external.database: LMCache's client of lmcache.mode multiprocess uses database 0; use lmcache.mode in-process
{{- end }}
{{- end }}
{{- if and $auth.password $auth.existingSecret }}
{{ $at }}.auth.password: and {{ $at }}.auth.existingSecret exclude each other; keep one
{{- end }}
{{- if and (not $auth.enabled) (or $auth.password $auth.existingSecret $auth.username) }}
{{ $at }}.auth.enabled: is false, but a user name, password or existingSecret is set
{{- end }}
{{- if regexMatch "[\\r\\n]" (default "" $auth.password) }}
{{ $at }}.auth.password: has a line break, which no client can send
{{- end }}
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
