{{/*
A folder on a shared volume, through LMCache's connector `fs`: a file for each chunk and worker, written beside its place and
renamed into it. Nothing listens and nothing evicts; the CronJob here deletes what was not used for longest.
*/}}

{{- define "lmcache-kserve.backend.filesystem.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "filesystem") -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.deployed" }}{{ end }}
{{- define "lmcache-kserve.backend.filesystem.endpoint" }}{{ end }}
{{- define "lmcache-kserve.backend.filesystem.ports" -}}
[]
{{- end }}
{{- define "lmcache-kserve.backend.filesystem.credentials" }}{{ end }}

{{/* Each replica writes in a folder of its own: two that store the same chunk would write into one temporary file. */}}
{{- define "lmcache-kserve.backend.filesystem.config" -}}
{{- $path := .Values.remoteBackend.filesystem.path -}}
remote_serde: {{ .Values.lmcache.serde }}
{{- if include "lmcache-kserve.lmcache.knowsPlugins" . }}
remote_storage_plugins:
  - fs
{{- else }}
# The connector wants a host and a port and uses neither.
remote_url: {{ printf "fs://localhost:0%s" $path | quote }}
{{- end }}
extra_config:
  {{- if include "lmcache-kserve.lmcache.knowsPlugins" . }}
  remote_storage_plugin.fs.base_path: {{ $path | quote }}
  {{- end }}
  fs_connector_relative_tmp_dir: .tmp-$(POD_NAME)
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.module" }}{{ end }}
{{- define "lmcache-kserve.backend.filesystem.env" }}{{ end }}

{{- define "lmcache-kserve.backend.filesystem.claim" -}}
{{- default (include "lmcache-kserve.backend.filesystem.name" .) .Values.remoteBackend.filesystem.existingClaim -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.volumes" -}}
- name: lmcache-shared
  persistentVolumeClaim:
    claimName: {{ include "lmcache-kserve.backend.filesystem.claim" . }}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.volumeMounts" -}}
- name: lmcache-shared
  mountPath: {{ .Values.remoteBackend.filesystem.path }}
{{- end }}

{{/* It names its files as the connector does, with the same ending. */}}
{{- define "lmcache-kserve.backend.filesystem.l2Adapter" -}}
{{- dict "type" "fs" "base_path" .Values.remoteBackend.filesystem.path "relative_tmp_dir" ".tmp-$(POD_NAME)" | toJson -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.l2Env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.secretChecksum" }}{{ end }}
{{- define "lmcache-kserve.backend.filesystem.generatedPassword" }}{{ end }}

{{/* Bytes above which files are deleted. */}}
{{- define "lmcache-kserve.backend.filesystem.limit" -}}
{{- $values := .Values.remoteBackend.filesystem -}}
{{- if $values.cleaning.limit -}}
{{- include "lmcache-kserve.bytes" $values.cleaning.limit -}}
{{- else -}}
{{- div (mul (include "lmcache-kserve.bytes" $values.size | int64) 8) 10 -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.problems" -}}
{{- $values := .Values.remoteBackend.filesystem -}}
{{- if include "lmcache-kserve.predictor.knative" . }}
remoteBackend.type: filesystem works in Standard mode only; Knative has no claims and no pod name in the environment
{{- end }}
{{- if and .Values.lmcache.localDisk.enabled (eq .Values.lmcache.localDisk.path $values.path) }}
remoteBackend.filesystem.path: is also lmcache.localDisk.path; the disk tier of each replica needs a folder of its own
{{- end }}
{{- if hasKey .Values.lmcache.config "remote_storage_plugins" }}
lmcache.config.remote_storage_plugins: is set through remoteBackend.type filesystem; to use another connector choose the type custom
{{- end }}
{{- if $values.existingClaim }}
{{- if $values.storageClassName }}
remoteBackend.filesystem.storageClassName: is not used with remoteBackend.filesystem.existingClaim
{{- end }}
{{- if and $values.cleaning.enabled (not $values.cleaning.limit) }}
remoteBackend.filesystem.cleaning.limit: is required with remoteBackend.filesystem.existingClaim, whose size the chart does not know
{{- end }}
{{- else if eq (include "lmcache-kserve.bytes" $values.size | int64) 0 }}
remoteBackend.filesystem.size: {{ $values.size | quote }} is not a quantity above zero, such as 500Gi
{{- end }}
{{- if and $values.cleaning.limit (eq (include "lmcache-kserve.bytes" $values.cleaning.limit | int64) 0) }}
remoteBackend.filesystem.cleaning.limit: {{ $values.cleaning.limit | quote }} is not a quantity above zero, such as 400Gi
{{- end }}
{{- with $values.cleaning.image }}
{{- if and (or .tag .digest) (not .repository) }}
remoteBackend.filesystem.cleaning.image.repository: is required when its tag or digest is set
{{- end }}
{{- if and .repository (not (or .tag .digest)) }}
remoteBackend.filesystem.cleaning.image.tag: is required with remoteBackend.filesystem.cleaning.image.repository, unless digest is set
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.notes" -}}
{{- $selector := printf "serving.kserve.io/inferenceservice=%s,component=predictor" (include "lmcache-kserve.fullname" .) -}}
POD=$(kubectl get pods -n {{ .Release.Namespace }} -l {{ $selector }} -o jsonpath='{.items[0].metadata.name}')
kubectl exec -n {{ .Release.Namespace }} "$POD" -c kserve-container -- sh -c 'ls {{ .Values.remoteBackend.filesystem.path }} | wc -l; df -h {{ .Values.remoteBackend.filesystem.path }}'
{{- end }}

{{/* Whether the chart deletes old files. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.filesystem.cleaned" -}}
{{- if and (eq .Values.remoteBackend.type "filesystem") .Values.remoteBackend.filesystem.cleaning.enabled }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.cleanerName" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "cleaner") -}}
{{- end }}
