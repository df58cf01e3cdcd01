{{/*
The one server that the chart deploys for redis and valkey.
*/}}

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
