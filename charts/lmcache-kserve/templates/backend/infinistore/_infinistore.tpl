{{/*
InfiniStore: a memory server over RDMA. LMCache's connector knows no other transport, so nodes without an RDMA device cannot
use it, and this project has not run it; its server's argument parser accepts what is rendered here (a test). The server
keeps the kernel from ending it and locks its memory, for which it needs root with two capabilities: the one backend here
that the restricted Pod Security Standard does not admit.
*/}}

{{- define "lmcache-kserve.backend.infinistore.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "infinistore") -}}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.port" -}}
22345
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.managePort" -}}
18080
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.deployed" -}}
{{- if .Values.remoteBackend.infinistore.deploy }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.endpoint" -}}
{{- if include "lmcache-kserve.backend.infinistore.deployed" . -}}
{{ include "lmcache-kserve.backend.infinistore.name" . }}.{{ .Release.Namespace }}.svc:{{ include "lmcache-kserve.backend.infinistore.port" . }}
{{- else -}}
{{ .Values.remoteBackend.infinistore.external.endpoint }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.ports" -}}
{{- list (include "lmcache-kserve.backend.infinistore.endpoint" . | splitList ":" | last | int) | toJson -}}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.credentials" }}{{ end }}

{{/* The connector looks the link type up among the names of the package infinistore: LINK_ETHERNET, LINK_IB. */}}
{{- define "lmcache-kserve.backend.infinistore.config" -}}
{{- $rdma := .Values.remoteBackend.infinistore.rdma -}}
remote_serde: {{ .Values.lmcache.serde }}
remote_url: {{ printf "infinistore://%s?device=%s" (include "lmcache-kserve.backend.infinistore.endpoint" .) $rdma.device | quote }}
extra_config:
  infinistore_link_type: LINK_{{ upper $rdma.linkType }}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.module" }}{{ end }}
{{- define "lmcache-kserve.backend.infinistore.env" }}{{ end }}
{{- define "lmcache-kserve.backend.infinistore.volumes" }}{{ end }}
{{- define "lmcache-kserve.backend.infinistore.volumeMounts" }}{{ end }}
{{- define "lmcache-kserve.backend.infinistore.l2Adapter" }}{{ end }}
{{- define "lmcache-kserve.backend.infinistore.l2Env" }}{{ end }}
{{- define "lmcache-kserve.backend.infinistore.secretChecksum" }}{{ end }}
{{- define "lmcache-kserve.backend.infinistore.generatedPassword" }}{{ end }}

{{/* Memory that the server takes when it starts, in whole GB (2^30 bytes). */}}
{{- define "lmcache-kserve.backend.infinistore.preallocatedGB" -}}
{{- $limit := dig "limits" "memory" "" .Values.remoteBackend.infinistore.resources -}}
{{- div (mul (include "lmcache-kserve.bytes" $limit | int64) 8) 10737418240 -}}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.problems" -}}
{{- $values := .Values.remoteBackend.infinistore -}}
{{- if and (not .Values.runtime.image.repository) (eq .Values.runtime.server "huggingfaceserver") }}
runtime.image.repository: KServe's image has no infinistore; name one that has it, as images/kserve-backends builds
{{- end }}
{{- if and $values.rdma.resourceName (not (hasKey .Values.predictor.resources.limits $values.rdma.resourceName)) }}
predictor.resources.limits: must have {{ $values.rdma.resourceName }}, of remoteBackend.infinistore.rdma.resourceName, because LMCache's side needs a device too
{{- end }}
{{- if $values.deploy }}
{{- if $values.external.endpoint }}
remoteBackend.infinistore.external.endpoint: names a server, but remoteBackend.infinistore.deploy is true; set it to false to use that server
{{- end }}
{{- if and (or $values.image.tag $values.image.digest) (not $values.image.repository) }}
remoteBackend.infinistore.image.repository: is required when its tag or digest is set
{{- end }}
{{- if and $values.image.repository (not (or $values.image.tag $values.image.digest)) }}
remoteBackend.infinistore.image.tag: is required with remoteBackend.infinistore.image.repository, unless digest is set
{{- end }}
{{- if lt (include "lmcache-kserve.backend.infinistore.preallocatedGB" . | int) 1 }}
remoteBackend.infinistore.resources.limits.memory: is needed, 2Gi or more; 80 % of it become the cache, which counts in whole GiB
{{- end }}
{{- else if not $values.external.endpoint }}
remoteBackend.infinistore.external.endpoint: is required (host:port) when remoteBackend.infinistore.deploy is false
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.infinistore.notes" -}}
{{- if include "lmcache-kserve.backend.infinistore.deployed" . -}}
kubectl port-forward -n {{ .Release.Namespace }} deployment/{{ include "lmcache-kserve.backend.infinistore.name" . }} {{ include "lmcache-kserve.backend.infinistore.managePort" . }} & sleep 3
curl -s http://127.0.0.1:{{ include "lmcache-kserve.backend.infinistore.managePort" . }}/kvmap_len; kill %1

Without the RDMA device {{ .Values.remoteBackend.infinistore.rdma.device }} the server's pod stays Pending, for want of
{{ .Values.remoteBackend.infinistore.rdma.resourceName | default "a node that has it" }}, or ends and says that it cannot open the device. The predictor then serves without the cache.
{{- end -}}
{{- end }}

{{/* Whether the chart deploys it and it is the chosen type. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.infinistore.rendered" -}}
{{- if and (eq .Values.remoteBackend.type "infinistore") .Values.remoteBackend.infinistore.deploy }}true{{ end -}}
{{- end }}
