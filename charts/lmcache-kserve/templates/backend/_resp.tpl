{{/*
Servers that speak Redis' protocol: what Redis and Valkey have in common, in both the deployed and the external form.
Every template here takes dict "context" $ "type" "redis"; the type is also the name of the server's programs
(<type>-server, <type>-cli) and of its values.
*/}}

{{- define "lmcache-kserve.resp.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" .context "suffix" .type) -}}
{{- end }}

{{- define "lmcache-kserve.resp.port" -}}
6379
{{- end }}

{{- define "lmcache-kserve.resp.deployed" -}}
{{- if (get .context.Values.remoteBackend .type).deploy }}true{{ end -}}
{{- end }}

{{/* host:port. */}}
{{- define "lmcache-kserve.resp.endpoint" -}}
{{- if include "lmcache-kserve.resp.deployed" . -}}
{{ include "lmcache-kserve.resp.name" . }}.{{ .context.Release.Namespace }}.svc:{{ include "lmcache-kserve.resp.port" . }}
{{- else -}}
{{ (get .context.Values.remoteBackend .type).external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.ports" -}}
{{- list (include "lmcache-kserve.resp.endpoint" . | splitList ":" | last | int) | toJson -}}
{{- end }}

{{- define "lmcache-kserve.resp.credentials" -}}
{{- if (get .context.Values.remoteBackend .type).auth.enabled }}true{{ end -}}
{{- end }}

{{/*
URL for LMCache's redis client, without credentials. The timeouts keep a dead backend from holding up requests.
*/}}
{{- define "lmcache-kserve.resp.url" -}}
{{- $values := get .context.Values.remoteBackend .type -}}
{{- $tls := $values.external.tls -}}
{{- $options := list
      (printf "socket_connect_timeout=%s" (include "lmcache-kserve.number" $values.timeouts.connectSeconds))
      (printf "socket_timeout=%s" (include "lmcache-kserve.number" $values.timeouts.commandSeconds)) -}}
{{- $scheme := "redis" -}}
{{- $database := 0 -}}
{{- if not $values.deploy -}}
  {{- $database = int $values.external.database -}}
  {{- if $tls.enabled -}}
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

{{- define "lmcache-kserve.resp.tlsPath" -}}
/etc/lmcache-kserve-tls
{{- end }}

{{/* With credentials the launcher completes the URL, so the configuration must not name it too. */}}
{{- define "lmcache-kserve.resp.config" -}}
remote_serde: {{ .context.Values.lmcache.serde }}
{{- if not (include "lmcache-kserve.resp.credentials" .) }}
remote_url: {{ include "lmcache-kserve.resp.url" . | quote }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.resp.env" -}}
{{- if include "lmcache-kserve.resp.credentials" . }}
- name: REMOTE_BACKEND_URL
  value: {{ include "lmcache-kserve.resp.url" . | quote }}
{{- with (get .context.Values.remoteBackend .type).auth.username }}
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
{{- with (get .context.Values.remoteBackend .type).auth.username }}
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
{{- $values := get .context.Values.remoteBackend .type -}}
{{- if and (not $values.deploy) $values.external.tls.enabled }}
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
{{- $values := get .context.Values.remoteBackend .type -}}
{{- if and (not $values.deploy) $values.external.tls.enabled }}
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
{{- default (include "lmcache-kserve.resp.name" .) (get .context.Values.remoteBackend .type).auth.existingSecret -}}
{{- end }}

{{- define "lmcache-kserve.resp.secretKey" -}}
{{- with (get .context.Values.remoteBackend .type).auth -}}
{{- ternary .existingSecretKey "password" (ne .existingSecret "") -}}
{{- end -}}
{{- end }}

{{/* Whether the chart keeps the password in a Secret of its own. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.resp.ownSecret" -}}
{{- with (get .context.Values.remoteBackend .type).auth -}}
{{- if and .enabled (not .existingSecret) }}true{{ end -}}
{{- end -}}
{{- end }}

{{/*
The password that the chart keeps: the user's, the one in the cluster, or a new one. What is not the user's is remembered
beside the values for the rest of the render, so that Secret and checksum agree.
*/}}
{{- define "lmcache-kserve.resp.password" -}}
{{- $auth := (get .context.Values.remoteBackend .type).auth -}}
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
{{- if and (include "lmcache-kserve.resp.ownSecret" .) (not (get .context.Values.remoteBackend .type).auth.password) -}}
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
{{- $values := get .context.Values.remoteBackend .type -}}
{{- if $values.maxmemory -}}
{{- include "lmcache-kserve.bytes" $values.maxmemory -}}
{{- else -}}
{{- $limit := dig "limits" "memory" "" $values.resources -}}
{{- div (mul (include "lmcache-kserve.bytes" $limit | int64) 8) 10 -}}
{{- end -}}
{{- end }}

{{/* The server's configuration, one directive a line. */}}
{{- define "lmcache-kserve.resp.serverConfig" -}}
{{- $values := get .context.Values.remoteBackend .type -}}
{{- $directives := dict
      "bind" "* -::*"
      "protected-mode" "no"
      "dir" "/data"
      "maxmemory" (include "lmcache-kserve.resp.maxmemory" .)
      "maxmemory-policy" "allkeys-lru"
      "save" "\"\""
      "appendonly" (ternary "yes" "no" $values.persistence.enabled) -}}
{{- range $directive, $arguments := merge (include "lmcache-kserve.withoutNulls" $values.config | fromJson) $directives }}
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
{{- $values := get .context.Values.remoteBackend .type -}}
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

{{/* An authenticated PING; a password from a file that ends in a newline works too, as it does in the start script. */}}
{{- define "lmcache-kserve.resp.ping" -}}
exec:
  command:
    - sh
    - -ec
    {{- if (get .context.Values.remoteBackend .type).auth.enabled }}
    - REDISCLI_AUTH="$(printf '%s' "$REDISCLI_AUTH")"; export REDISCLI_AUTH; [ "$({{ .type }}-cli "$@" ping)" = PONG ]
    {{- else }}
    - '[ "$({{ .type }}-cli "$@" ping)" = PONG ]'
    {{- end }}
    - {{ .type }}-cli
    - -p
    - {{ include "lmcache-kserve.resp.port" . | quote }}
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
{{- $persistence := (get .context.Values.remoteBackend .type).persistence -}}
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
{{- $values := get .context.Values.remoteBackend .type -}}
{{- $at := printf "remoteBackend.%s" .type -}}
{{- $auth := $values.auth -}}
{{- $external := $values.external -}}
{{- if $values.deploy }}
{{- if $external.endpoint }}
{{ $at }}.external.endpoint: names a server, but {{ $at }}.deploy is true; set {{ $at }}.deploy to false to use it
{{- end }}
{{- if $external.tls.enabled }}
{{ $at }}.external.tls.enabled: works with an external server only; set {{ $at }}.deploy to false and name its endpoint
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
{{- if not $external.endpoint }}
{{ $at }}.external.endpoint: is required (host:port) when {{ $at }}.deploy is false
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
{{- if $external.tls.enabled }}
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
{{- $kind := ternary "statefulset" "deployment" (get .context.Values.remoteBackend .type).persistence.enabled -}}
kubectl exec -n {{ .context.Release.Namespace }} {{ $kind }}/{{ include "lmcache-kserve.resp.name" . }} -- {{ .type }}-cli dbsize
kubectl exec -n {{ .context.Release.Namespace }} {{ $kind }}/{{ include "lmcache-kserve.resp.name" . }} -- {{ .type }}-cli info memory
{{- else -}}
{{ .type }}-cli -u {{ include "lmcache-kserve.resp.url" . | splitList "?" | first }} --askpass dbsize
{{- end -}}
{{- end }}
