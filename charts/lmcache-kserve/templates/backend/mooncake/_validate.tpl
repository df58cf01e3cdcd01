{{/*
What the schema cannot say about the values of remoteBackend.mooncake.
*/}}

{{- define "lmcache-kserve.backend.mooncake.problems" -}}
{{- $values := .Values.remoteBackend.mooncake -}}
{{- if include "lmcache-kserve.predictor.knative" . }}
remoteBackend.type: mooncake works in Standard mode only; Knative has no pod address in the environment
{{- end }}
{{- with include "lmcache-kserve.versions.lacks" (list . "mooncake") }}
remoteBackend.type: mooncake {{ . }}; use a newer image
{{- end }}
{{- if not .Values.runtime.image.repository }}
runtime.image.repository: the default image lacks mooncake-transfer-engine; name an image with it, such as that of images/kserve-backends
{{- end }}
{{- if ne .Values.lmcache.kvLoadFailurePolicy "recompute" }}
lmcache.kvLoadFailurePolicy: must be recompute; the master names chunks of a store that has ended, and each request for one would fail
{{- end }}
{{- if hasKey .Values.lmcache.config "remote_storage_plugins" }}
lmcache.config.remote_storage_plugins: is set through remoteBackend.type mooncake; to use another connector choose the type custom
{{- end }}
{{- if eq (include "lmcache-kserve.bytes" $values.localBuffer | int64) 0 }}
remoteBackend.mooncake.localBuffer: {{ $values.localBuffer | quote }} is not a quantity above zero, such as 1Gi
{{- end }}
{{- if eq $values.protocol "rdma" }}
{{- if not $values.rdma.resourceName }}
remoteBackend.mooncake.rdma.resourceName: is required with remoteBackend.mooncake.protocol rdma: the RDMA device plugin's name, such as rdma/hca
{{- else if not (hasKey .Values.predictor.resources.limits $values.rdma.resourceName) }}
predictor.resources.limits: must have {{ $values.rdma.resourceName }}, of remoteBackend.mooncake.rdma.resourceName, because LMCache's side needs a device too
{{- end }}
{{- else if or $values.rdma.devices $values.rdma.resourceName }}
remoteBackend.mooncake.rdma: is used with remoteBackend.mooncake.protocol rdma only
{{- end }}
{{- if $values.deploy }}
{{- if or $values.external.endpoint $values.external.metadataServer }}
remoteBackend.mooncake.external.endpoint: names a master, but remoteBackend.mooncake.deploy is true; set it to false to use that master
{{- end }}
{{- include "lmcache-kserve.images.problems" (dict "path" "remoteBackend.mooncake.image" "image" $values.image) }}
{{- $segment := include "lmcache-kserve.backend.mooncake.segment" . | int64 }}
{{- $limit := dig "limits" "memory" "" $values.store.resources }}
{{- if not (or $values.store.segmentSize $limit) }}
remoteBackend.mooncake.store.resources.limits.memory: is needed to size the cache, or set remoteBackend.mooncake.store.segmentSize
{{- else if eq $segment 0 }}
{{- $wrong := ternary "segmentSize" "resources.limits.memory" (not (empty $values.store.segmentSize)) }}
remoteBackend.mooncake.store.{{ $wrong }}: is not a quantity above zero, such as 32Gi
{{- else if and $limit (ge $segment (include "lmcache-kserve.bytes" $limit | int64)) }}
remoteBackend.mooncake.store.segmentSize: does not fit into remoteBackend.mooncake.store.resources.limits.memory, {{ $limit }}
{{- end }}
{{- else }}
{{- if not (and $values.external.endpoint $values.external.metadataServer) }}
remoteBackend.mooncake.external: needs endpoint (host:port of the master) and metadataServer when remoteBackend.mooncake.deploy is false
{{- end }}
{{- end }}
{{- end }}
