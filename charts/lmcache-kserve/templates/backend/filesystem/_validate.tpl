{{/*
What the schema cannot say about the values of remoteBackend.filesystem.
*/}}

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
{{- include "lmcache-kserve.images.problems" (dict "path" "remoteBackend.filesystem.cleaning.image" "image" $values.cleaning.image) }}
{{- end }}
