{{/*
An S3 bucket, through LMCache's connector over awscrt. The bucket is the first label of the host: the connector has no path
style, and signs what it puts into the Host header. LMCache stores an object for each chunk and worker, without LMCache's own header
(`save_chunk_meta` false): so it never stores a chunk that is not whole. The credentials are variables that awscrt reads itself.
*/}}

{{- define "lmcache-kserve.backend.s3.answers" -}}
s3: [config, endpoint, env, l2Adapter, l2Env, notes, ports, problems, volumeMounts, volumes]
{{- end }}

{{/* bucket.host[:port], as in the URL. */}}
{{- define "lmcache-kserve.backend.s3.host" -}}
{{- with .Values.remoteBackend.s3 -}}
{{ .bucket }}.{{ .external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.s3.port" -}}
  {{- $external := .Values.remoteBackend.s3.external -}}
  {{- regexFind ":[0-9]+$" $external.endpoint | trimPrefix ":" | default (ternary "443" "80" $external.tls.enabled) -}}
{{- end }}

{{/* Worth waiting for: after three failed connections LMCache's client does not try again. */}}
{{- define "lmcache-kserve.backend.s3.endpoint" -}}
{{ regexReplaceAll ":[0-9]+$" (include "lmcache-kserve.backend.s3.host" .) "" }}:{{ include "lmcache-kserve.backend.s3.port" . }}
{{- end }}

{{- define "lmcache-kserve.backend.s3.ports" -}}
{{- list (include "lmcache-kserve.backend.s3.port" . | int) | toJson -}}
{{- end }}

{{- define "lmcache-kserve.backend.s3.url" -}}
s3://{{ include "lmcache-kserve.backend.s3.host" . }}
{{- end }}

{{/* Settings of the client, which have the same names in both modes. Output: YAML dict. */}}
{{- define "lmcache-kserve.backend.s3.client" -}}
{{- $values := .Values.remoteBackend.s3 -}}
s3_region: {{ $values.external.region | quote }}
s3_num_io_threads: {{ int $values.ioThreads }}
s3_prefer_http2: {{ $values.preferHttp2 }}
s3_enable_s3express: {{ $values.expressOneZone }}
disable_tls: {{ not $values.external.tls.enabled }}
{{- end }}

{{- define "lmcache-kserve.backend.s3.config" -}}
remote_serde: {{ .Values.lmcache.serde }}
remote_url: {{ include "lmcache-kserve.backend.s3.url" . | quote }}
extra_config:
  save_chunk_meta: false
  {{- include "lmcache-kserve.backend.s3.client" . | nindent 2 }}
{{- end }}

{{- define "lmcache-kserve.backend.s3.l2Adapter" -}}
  {{- $client := include "lmcache-kserve.backend.s3.client" . | fromYaml -}}
  {{- merge (dict "type" "s3" "s3_endpoint" (include "lmcache-kserve.backend.s3.url" .)) $client | toJson -}}
{{- end }}

{{- define "lmcache-kserve.backend.s3.l2Env" -}}
{{- include "lmcache-kserve.backend.s3.env" . -}}
{{- end }}

{{- define "lmcache-kserve.backend.s3.env" -}}
{{- with .Values.remoteBackend.s3.auth }}
{{- if .existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret | quote }}
      key: {{ .accessKeyIdKey | quote }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret | quote }}
      key: {{ .secretAccessKeyKey | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.s3.volumes" -}}
{{- include "lmcache-kserve.backend.caVolume" (dict "name" "backend-ca" "tls" .Values.remoteBackend.s3.external.tls) }}
{{- end }}

{{/* awscrt reads the system's list of authorities and has no setting for it. This is the first file that aws-c-io looks for. */}}
{{- define "lmcache-kserve.backend.s3.volumeMounts" -}}
{{- with .Values.remoteBackend.s3.external.tls }}
{{- if or .caSecret .caConfigMap }}
- name: backend-ca
  mountPath: /etc/ssl/certs/ca-certificates.crt
  subPath: {{ .caSecretKey | quote }}
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.s3.notes" -}}
{{- with .Values.remoteBackend.s3 -}}
{{- $url := printf "%s://%s" (ternary "https" "http" .external.tls.enabled) .external.endpoint -}}
aws s3api list-objects-v2 --bucket {{ .bucket }} --region {{ .external.region }} --endpoint-url {{ $url }} --query 'length(Contents)'
{{- end -}}
{{- end }}
