{{/*
A folder on a shared volume, through LMCache's connector `fs`. The connector writes a file for each chunk and worker beside its
place and renames it. Nothing listens and nothing evicts; the CronJob here deletes the files with the oldest last use.
*/}}

{{- define "lmcache-kserve.backend.filesystem.answers" -}}
filesystem: [config, l2Adapter, l2Env, notes, problems, volumeMounts, volumes]
{{- end }}

{{/* Each replica writes in its own folder: two replicas that store the same chunk would write into one temporary file. */}}
{{- define "lmcache-kserve.backend.filesystem.config" -}}
{{- $path := .Values.remoteBackend.filesystem.path -}}
remote_serde: {{ .Values.lmcache.serde }}
{{- $byName := include "lmcache-kserve.versions.has" (list . "lmcache" "connectorsByName") }}
{{- if $byName }}
remote_storage_plugins:
  - fs
{{- else }}
# The connector wants a host and a port and uses neither.
remote_url: {{ printf "fs://localhost:0%s" $path | quote }}
{{- end }}
extra_config:
  {{- if $byName }}
  remote_storage_plugin.fs.base_path: {{ $path | quote }}
  {{- end }}
  fs_connector_relative_tmp_dir: .tmp-$(POD_NAME)
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.claim" -}}
{{- default (include "lmcache-kserve.backend.name" .) .Values.remoteBackend.filesystem.existingClaim -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.volumes" -}}
- name: lmcache-shared
  persistentVolumeClaim:
    claimName: {{ include "lmcache-kserve.backend.filesystem.claim" . | quote }}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.volumeMounts" -}}
- name: lmcache-shared
  mountPath: {{ .Values.remoteBackend.filesystem.path | quote }}
{{- end }}

{{/* The adapter names its files as the connector does, with the same ending. */}}
{{- define "lmcache-kserve.backend.filesystem.l2Adapter" -}}
{{- dict "type" "fs" "base_path" .Values.remoteBackend.filesystem.path "relative_tmp_dir" ".tmp-$(POD_NAME)" | toJson -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.l2Env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}

{{/* Size of all files, in bytes, above which the cleaner deletes. */}}
{{- define "lmcache-kserve.backend.filesystem.limit" -}}
  {{- $values := .Values.remoteBackend.filesystem -}}
  {{- if $values.cleaning.limit -}}
    {{- include "lmcache-kserve.bytes" $values.cleaning.limit -}}
  {{- else -}}
    {{- div (mul (include "lmcache-kserve.bytes" $values.size | int64) 8) 10 -}}
  {{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.notes" -}}
{{- $selector := printf "serving.kserve.io/inferenceservice=%s,component=predictor" (include "lmcache-kserve.fullname" .) -}}
POD=$(kubectl get pods -n {{ .Release.Namespace }} -l {{ $selector }} -o jsonpath='{.items[0].metadata.name}')
{{- $path := .Values.remoteBackend.filesystem.path }}
kubectl exec -n {{ .Release.Namespace }} "$POD" -c kserve-container -- sh -c 'ls {{ $path }} | wc -l; df -h {{ $path }}'
{{- end }}

{{/* Whether the chart deletes old files. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.filesystem.cleaned" -}}
{{- if and (eq .Values.remoteBackend.type "filesystem") .Values.remoteBackend.filesystem.cleaning.enabled }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.filesystem.cleanerName" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "cleaner") -}}
{{- end }}
