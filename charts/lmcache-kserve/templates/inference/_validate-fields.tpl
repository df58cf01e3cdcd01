{{/*
Rules for fields of the predictor that the chart passes on to KServe, and for what they imply: the workers of a replica,
resource claims, the network of the pods, and predictor.extra.
*/}}

{{/* Names and storage of the model. */}}
{{- define "lmcache-kserve.validate.storage" -}}
{{- $model := .Values.model -}}
{{- $storage := default dict $model.storage -}}
{{- if eq .Values.runtime.server "huggingfaceserver" }}
{{- if contains "/" $model.name }}
model.name: huggingfaceserver makes a route of {{ $model.name | quote }} and finds no model behind its slash; use runtime.server vllm, or no slash
{{- end }}
{{- if $model.aliases }}
model.aliases: huggingfaceserver answers to one name only; use runtime.server vllm
{{- end }}
{{- end }}
{{- if and $storage.path $model.storageUri }}
model.storage.path: excludes model.storageUri, because KServe loads from one place; keep one of the two
{{- end }}
{{- if and $storage.key (not (or $storage.path $model.storageUri)) }}
model.storage.key: says how to reach a storage, but nothing says what to load; set model.storage.path or model.storageUri
{{- end }}
{{- if and $storage.key $model.storageUri (not (regexMatch "^(s3|hdfs|webhdfs)://" $model.storageUri)) }}
model.storage.key: KServe uses it for s3://, hdfs:// and webhdfs:// only, but model.storageUri is {{ $model.storageUri }}; remove the key
{{- end }}
{{- end }}

{{/* The workers of one replica, and the GPUs that they need. */}}
{{- define "lmcache-kserve.validate.workers" -}}
{{- $gpu := .Values.predictor.gpu -}}
{{- $gpus := int $gpu.count -}}
{{- $tensor := include "lmcache-kserve.workers.tensorParallelSize" . | int -}}
{{- $parts := div (include "lmcache-kserve.workers" . | int) $tensor | int -}}
{{- $workers := include "lmcache-kserve.workers" . | int -}}
{{- if and (gt $parts 1) (eq .Values.runtime.server "huggingfaceserver") (gt $gpus 0) }}
model.extraArgs: asks for pipeline or data parallelism, but huggingfaceserver gives all GPUs to tensor parallelism; use runtime.server vllm
{{- else if and (gt $gpus 0) (gt $workers $gpus) (eq $parts 1) (ne .Values.runtime.server "huggingfaceserver") }}
runtime.tensorParallelSize: {{ $tensor }} workers need as many GPUs, but predictor.gpu.count is {{ $gpus }}
{{- else if and (gt $gpus 0) (gt $workers $gpus) (gt $parts 1) }}
predictor.gpu.count: {{ $gpus }} GPUs are too few for {{ $workers }} workers, tensor parallel size {{ $tensor }} times {{ $parts }} in model.extraArgs
{{- else if and (gt $gpus $workers) (not .Values.runtime.tensorParallelSize) }}
predictor.gpu.count: {{ $gpus }} GPUs do not divide by {{ $parts }}, the sizes in model.extraArgs; change one, or set runtime.tensorParallelSize
{{- else if and (contains "/mig-" $gpu.resourceName) (gt $workers 1) }}
predictor.gpu.count: vLLM cannot split a model over MIG slices, but a replica would have {{ $workers }} workers; use one slice and more predictor.replicas
{{- end }}
{{- end }}

{{/* Resource claims (DRA). */}}
{{- define "lmcache-kserve.validate.claims" -}}
{{- $predictor := .Values.predictor -}}
{{- $claims := dict -}}
{{- range $predictor.resourceClaims }}{{ $_ := set $claims .name . }}{{ end -}}
{{- $replicas := include "lmcache-kserve.predictor.maxReplicas" . | int -}}
{{- if and $predictor.resourceClaims (include "lmcache-kserve.predictor.knative" .) }}
predictor.resourceClaims: works with kserve.deploymentMode Standard only, because Knative knows no claims
{{- end }}
{{- if and (include "lmcache-kserve.predictor.claimsGpus" .) (not $predictor.resources.claims) }}
predictor.resources.claims: is empty, but without predictor.gpu.resourceName the GPUs come from claims; name one of predictor.resourceClaims
{{- end }}
{{- range $index, $used := $predictor.resources.claims }}
{{- $claim := get $claims $used.name }}
{{- if not $claim }}
predictor.resources.claims[{{ $index }}]: predictor.resourceClaims has no claim {{ $used.name | quote }}
{{- else if and (include "lmcache-kserve.predictor.claimsGpus" $) $claim.resourceClaimName (gt $replicas 1) }}
predictor.resourceClaims: {{ $replicas }} replicas would share the GPUs of claim {{ $used.name | quote }}; use resourceClaimTemplateName
{{- end }}
{{- end }}
{{- end }}

{{/* The network of the pods, and how they find names. */}}
{{- define "lmcache-kserve.validate.network" -}}
{{- $predictor := .Values.predictor -}}
{{- $policy := include "lmcache-kserve.predictor.dnsPolicy" . -}}
{{- $awaited := include "lmcache-kserve.scripts.awaited" . -}}
{{- $service := regexMatch `\.svc(\.|:|$)` $awaited -}}
{{- $given := default dict $predictor.dnsConfig -}}
{{- if $predictor.hostNetwork }}
{{- if .Values.networkPolicy.enabled }}
predictor.hostNetwork: NetworkPolicies take the node's network for a stranger, and would shut replicas out of the backend; set networkPolicy.enabled to false
{{- end }}
{{- if include "lmcache-kserve.multiprocess.sidecar" . }}
predictor.hostNetwork: opens the sidecar, which has no password, to the whole node; use lmcache.multiprocess.placement daemonset, or mode in-process
{{- end }}
{{- end }}
{{- if and $predictor.hostNetwork (eq $policy "ClusterFirst") }}
predictor.dnsPolicy: ClusterFirst means Default with predictor.hostNetwork; use ClusterFirstWithHostNet, or leave it empty
{{- else if and (eq $policy "Default") $service }}
predictor.dnsPolicy: Default does not resolve {{ $awaited }}; leave it empty
{{- else if and (eq $policy "None") (not $given.nameservers) }}
predictor.dnsConfig: needs nameservers with predictor.dnsPolicy None
{{- else if and (eq $policy "None") $service (not $given.searches) }}
predictor.dnsConfig: needs searches such as cluster.local with predictor.dnsPolicy None, to resolve {{ $awaited }}
{{- end }}
{{- if and (not (kindIs "invalid" $predictor.containerConcurrency)) (not (include "lmcache-kserve.predictor.knative" .)) }}
predictor.containerConcurrency: works with kserve.deploymentMode Knative only; in Standard mode use --max-num-seqs in model.extraArgs
{{- end }}
{{- end }}

{{/* Fields of the predictor that the chart renders, each with the value that sets the field. JSON dict. */}}
{{- define "lmcache-kserve.predictor.fields" -}}
{{- $fields := dict
      "minReplicas" "predictor.replicas and predictor.autoscaling" "maxReplicas" "predictor.autoscaling"
      "scaleMetric" "predictor.autoscaling" "scaleTarget" "predictor.autoscaling" "autoScaling" "predictor.autoscaling"
      "labels" "predictor.podLabels" "annotations" "predictor.podAnnotations" "securityContext" "predictor.podSecurityContext"
      "containers" "predictor.sidecars" "imagePullSecrets" "imagePullSecrets"
      "model" "model, runtime and predictor" "enableServiceLinks" "the chart, which always renders false" -}}
{{- range list
      "affinity" "automountServiceAccountToken" "containerConcurrency" "deploymentStrategy" "dnsConfig" "dnsPolicy" "hostAliases"
      "hostNetwork" "initContainers" "nodeSelector" "priorityClassName" "resourceClaims" "runtimeClassName" "schedulerName"
      "serviceAccountName" "terminationGracePeriodSeconds" "timeout" "tolerations" "topologySpreadConstraints" "volumes" -}}
  {{- $_ := set $fields . (printf "predictor.%s" .) -}}
{{- end -}}
{{- toJson $fields -}}
{{- end }}

{{/* Fields that belong to values, and fields that cannot work beside what the chart renders. */}}
{{- define "lmcache-kserve.validate.extra" -}}
{{- $fields := include "lmcache-kserve.predictor.fields" . | fromJson -}}
{{- $frameworks := list
      "huggingface" "lightgbm" "onnx" "paddle" "pmml" "pytorch" "sklearn" "tensorflow" "triton" "xgboost" -}}
{{- range $field, $value := .Values.predictor.extra }}
{{- if hasKey $fields $field }}
predictor.extra.{{ $field }}: is set through {{ get $fields $field }}
{{- else if has $field $frameworks }}
predictor.extra.{{ $field }}: KServe takes one kind of model, and the chart renders predictor.model; use the values below model and runtime
{{- else if eq $field "name" }}
predictor.extra.name: gives the pods a name that no other object of the release knows; use fullnameOverride
{{- else if eq $field "workerSpec" }}
predictor.extra.workerSpec: KServe wants a ServingRuntime with a workerSpec, and the release's own has none; keep a replica on one node
{{- else if and (eq $field "canaryTrafficPercent") (not (include "lmcache-kserve.predictor.knative" $)) }}
predictor.extra.canaryTrafficPercent: works with kserve.deploymentMode Knative only
{{- else if and (eq $field "storageUris") (include "lmcache-kserve.predictor.fromStorage" $) }}
predictor.extra.storageUris: KServe refuses it beside model.storageUri and model.storage.path; keep one
{{- end }}
{{- end }}
{{- end }}
