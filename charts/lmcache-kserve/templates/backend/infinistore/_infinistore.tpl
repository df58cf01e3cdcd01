{{/*
InfiniStore: a memory server over RDMA. LMCache's connector knows no other transport, so a node without an RDMA device cannot
use InfiniStore. This project has not run it; a test shows that the server's argument parser accepts what is rendered here. The
server keeps the kernel from killing it and locks its memory. For that it needs root with two capabilities, which the restricted
Pod Security Standard does not admit.
*/}}

{{- define "lmcache-kserve.backend.infinistore.answers" -}}
infinistore: [config, endpoint, notes, ports, problems]
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.port" -}}
22345
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.managePort" -}}
18080
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.endpoint" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
{{ include "lmcache-kserve.backend.host" . }}:{{ include "lmcache-kserve.backend.infinistore.port" . }}
{{- else -}}
{{ .Values.remoteBackend.infinistore.external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.ports" -}}
{{- list (include "lmcache-kserve.backend.infinistore.endpoint" . | splitList ":" | last | int) | toJson -}}
{{- end }}

{{/* The connector looks the link type up among the names of the package infinistore: LINK_ETHERNET, LINK_IB. */}}
{{- define "lmcache-kserve.backend.infinistore.config" -}}
{{- $rdma := .Values.remoteBackend.infinistore.rdma -}}
remote_serde: {{ .Values.lmcache.serde }}
remote_url: {{ printf "infinistore://%s?device=%s" (include "lmcache-kserve.backend.infinistore.endpoint" .) $rdma.device | quote }}
extra_config:
  infinistore_link_type: LINK_{{ upper $rdma.linkType }}
{{- end }}

{{/* Memory that the server takes when it starts, in whole GB (2^30 bytes). */}}
{{- define "lmcache-kserve.backend.infinistore.preallocatedGB" -}}
  {{- $limit := dig "limits" "memory" "" .Values.remoteBackend.infinistore.resources -}}
  {{- div (mul (include "lmcache-kserve.bytes" $limit | int64) 8) 10737418240 -}}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.notes" -}}
{{- if include "lmcache-kserve.backend.deployed" . -}}
{{- $port := include "lmcache-kserve.backend.infinistore.managePort" . -}}
kubectl port-forward -n {{ .Release.Namespace }} deployment/{{ include "lmcache-kserve.backend.name" . }} {{ $port }} & sleep 3
curl -s http://127.0.0.1:{{ $port }}/kvmap_len; kill %1
{{- $rdma := .Values.remoteBackend.infinistore.rdma }}

Without the RDMA device {{ $rdma.device }} the server's pod stays Pending, for want of {{ $rdma.resourceName | default "a node that has it" }},
or the pod ends and says that it cannot open the device. The predictor then serves without the cache.
{{- end -}}
{{- end }}
