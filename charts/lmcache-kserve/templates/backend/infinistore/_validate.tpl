{{/*
What the schema cannot say about the values of remoteBackend.infinistore.
*/}}

{{- define "lmcache-kserve.backend.infinistore.problems" -}}
{{- $values := .Values.remoteBackend.infinistore -}}
{{- if not .Values.runtime.image.repository }}
runtime.image.repository: the default image lacks infinistore; name an image with it, such as that of images/kserve-backends
{{- end }}
{{- if and $values.rdma.resourceName (not (hasKey .Values.predictor.resources.limits $values.rdma.resourceName)) }}
predictor.resources.limits: must have {{ $values.rdma.resourceName }}, of remoteBackend.infinistore.rdma.resourceName, because LMCache's side needs a device too
{{- end }}
{{- if $values.deploy }}
{{- if $values.external.endpoint }}
remoteBackend.infinistore.external.endpoint: names a server; set remoteBackend.infinistore.deploy to false to use that server
{{- end }}
{{- include "lmcache-kserve.images.problems" (dict "path" "remoteBackend.infinistore.image" "image" $values.image) }}
{{- if lt (include "lmcache-kserve.backend.infinistore.preallocatedGB" . | int) 1 }}
remoteBackend.infinistore.resources.limits.memory: is needed, 2Gi or more; 80 % of it become the cache, which counts in whole GiB
{{- end }}
{{- else if not $values.external.endpoint }}
remoteBackend.infinistore.external.endpoint: is required (host:port) when remoteBackend.infinistore.deploy is false
{{- end }}
{{- end }}
