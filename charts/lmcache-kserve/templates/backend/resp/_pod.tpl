{{/*
The pod of redis and valkey, of a Deployment or a StatefulSet. Its start script adds the password to a copy of the configuration
that only the server can read; an argument would show it in the process list.
*/}}
{{- define "lmcache-kserve.backend.resp.podTemplate" -}}
{{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
{{- $type := .Values.remoteBackend.type -}}
{{- $ping := include "lmcache-kserve.backend.resp.ping" (dict "context" . "program" $type) -}}
{{- $port := include "lmcache-kserve.backend.resp.port" . -}}
{{- $annotations := dict "checksum/config" (include "lmcache-kserve.backend.resp.serverConfig" (dict "context" .) | sha256sum) -}}
{{- with include "lmcache-kserve.backend.resp.secretChecksum" . }}{{ $_ := set $annotations "checksum/password" . }}{{ end -}}
{{ include "lmcache-kserve.backend.podMetadata" (dict "context" . "annotations" $annotations) }}
spec:
  {{- include "lmcache-kserve.backend.podFields" (dict "context" . "podSecurityContext" $values.podSecurityContext) | nindent 2 }}
  containers:
    - name: {{ $type }}
      image: {{ include "lmcache-kserve.image" $values.image | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command:
        - sh
        - -ec
        - |
          umask 077
          {
            cat /etc/{{ $type }}/{{ $type }}.conf
            {{- if $values.auth.enabled }}
            echo
            printf 'requirepass "%s"\n' "$(printf '%s' "$REDISCLI_AUTH" | sed 's/[\\"]/\\&/g')"
            {{- end }}
          } > /run/{{ $type }}/{{ $type }}.conf
          exec {{ $type }}-server /run/{{ $type }}/{{ $type }}.conf "$@"
        - {{ $type }}-server
      args:
        - --port
        - {{ $port | quote }}
      {{- if $values.auth.enabled }}
      env:
        # The name by which the command-line client finds the password.
        - name: REDISCLI_AUTH
          valueFrom:
            secretKeyRef:
              name: {{ include "lmcache-kserve.backend.resp.secretName" . | quote }}
              key: {{ include "lmcache-kserve.backend.resp.secretKey" . | quote }}
      {{- end }}
      ports:
        - name: {{ $type }}
          containerPort: {{ $port }}
          protocol: TCP
      {{- /* Loading an append-only file takes its time: the server answers LOADING until then. */}}
      startupProbe:
        {{- $ping | nindent 8 }}
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 300
      readinessProbe:
        {{- $ping | nindent 8 }}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
      livenessProbe:
        {{- $ping | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "lmcache-kserve.pods.securityContext" $values.securityContext }}
      securityContext:
        {{- . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: config
          mountPath: /etc/{{ $type }}
          readOnly: true
        - name: run
          mountPath: /run/{{ $type }}
        - name: data
          mountPath: /data
    {{- with include "lmcache-kserve.backend.resp.exporter" (dict "context" .) }}
    {{- . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "lmcache-kserve.backend.name" . }}
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
        claimName: {{ $values.persistence.existingClaim | quote }}
    {{- end }}
{{- end }}
