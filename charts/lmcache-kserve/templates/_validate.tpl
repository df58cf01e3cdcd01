{{/*
Rules across values, which the schema cannot state. Every area below writes lines "<value>: <what is wrong>"; all lines of
one render are reported together, so that a user corrects them in one go. templates/validate.yaml calls this.
*/}}

{{- define "lmcache-kserve.validate" -}}
{{- $problems := list -}}
{{- range list "moved" "names" "kserve" "model" "runtime" "predictor" "autoscaling" "huggingFace" "lmcache" "lmcacheConfig" "memory" "disk" "multiprocess" "remoteBackend" -}}
  {{- range include (printf "lmcache-kserve.validate.%s" .) $ | splitList "\n" -}}
    {{- if trim . }}{{ $problems = append $problems (printf "  - %s" (trim .)) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if $problems -}}
  {{- $count := len $problems -}}
  {{- printf "\n\n%d %s in the values of %s:\n%s\n" $count (ternary "problem" "problems" (eq $count 1)) .Chart.Name (join "\n" (uniq $problems)) | fail -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.validate.names" -}}
{{- $limit := include "lmcache-kserve.names.limit" . | int -}}
{{- $full := include "lmcache-kserve.fullname" . -}}
{{- if lt $limit 10 }}
namespace {{ .Release.Namespace }}: has {{ len .Release.Namespace }} characters; KServe makes a host name of <release>-predictor-<namespace>, which leaves none for the release: 42 is the limit
{{- else if and .Values.fullnameOverride (gt (len $full) $limit) }}
fullnameOverride: has {{ len $full }} characters; in namespace {{ .Release.Namespace }} KServe's names leave room for {{ $limit }}
{{- end }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) }}
{{ ternary "fullnameOverride" "nameOverride" (not (empty .Values.fullnameOverride)) }}: {{ $full | quote }} is no name for an InferenceService: lower-case letters, digits and dashes, a letter first
{{- end }}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "kserve.labels" .Values.kserve.labels "predictor.podLabels" .Values.predictor.podLabels "tests.podLabels" .Values.tests.podLabels }}
{{- if hasKey $labels "serving.kserve.io/inferenceservice" }}
{{ $value }}: must not have serving.kserve.io/inferenceservice, by which KServe finds, and deletes, what it made itself
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.kserve" -}}
{{- $version := .Values.kserve.version -}}
{{- $oldest := index .Chart.Annotations "lmcache-kserve/oldest-kserve" -}}
{{- if semverCompare (printf "<%s-0" $oldest) $version }}
kserve.version: {{ $version }} is older than {{ $oldest }}, the first release with LMCache in its images
{{- end }}
{{- range $key := list "serving.kserve.io/deploymentMode" "serving.kserve.io/autoscalerClass" "lmcache-kserve/remote-backend" "lmcache-kserve/mode" }}
{{- if hasKey $.Values.kserve.annotations $key }}
kserve.annotations: {{ $key }} is set by the chart; use kserve.deploymentMode, predictor.autoscaling, remoteBackend.type or lmcache.mode
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.model" -}}
{{- range $index, $argument := .Values.model.extraArgs }}
{{- $option := regexFind "^--[A-Za-z0-9_-]+" $argument | replace "_" "-" }}
{{- if contains "{{" $argument }}
model.extraArgs[{{ $index }}]: contains {{ "{{" | quote }}, which KServe runs as a template; put the text into a file, for example a ConfigMap in predictor.volumes
{{- end }}
{{- if and $.Values.lmcache.enabled (eq $option "--kv-transfer-config") }}
model.extraArgs[{{ $index }}]: the chart sets --kv-transfer-config; use lmcache.kvRole, lmcache.kvLoadFailurePolicy and lmcache.kvTransferConfig, or set lmcache.enabled to false
{{- end }}
{{- if and $.Values.lmcache.enabled (hasPrefix "--kv-offloading-" $option) }}
model.extraArgs[{{ $index }}]: {{ $option }} starts another KV-cache connector beside LMCache; remove it or set lmcache.enabled to false
{{- end }}
{{- if and (include "lmcache-kserve.lmcache.inProcess" $) (eq $option "--no-disable-hybrid-kv-cache-manager") }}
model.extraArgs[{{ $index }}]: LMCache's in-process connector does not work with hybrid memory; remove {{ $option }} or use lmcache.mode multiprocess
{{- end }}
{{- if and $.Values.lmcache.enabled (not $.Values.lmcache.adaptersByTag) (has $option (list "--enable-lora" "--lora-modules" "--default-mm-loras")) }}
model.extraArgs[{{ $index }}]: {{ $option }}: LMCache's keys do not name the adapter, so one adapter would be answered with another's prefix; serve each merged into its model, or set lmcache.adaptersByTag when every request names its adapter
{{- end }}
{{- with get (dict
      "--port" "runtime.port" "--http-port" "runtime.port"
      "--model" "model.id" "--model-id" "model.id" "--model-dir" "model.storageUri"
      "--served-model-name" "model.name" "--model-name" "model.name"
      "--max-model-len" "model.maxModelLen" "--tensor-parallel-size" "runtime.tensorParallelSize"
      "--enable-prefix-caching" "runtime.prefixCaching" "--no-enable-prefix-caching" "runtime.prefixCaching") $option }}
model.extraArgs[{{ $index }}]: {{ $option }} is set through {{ . }}
{{- end }}
{{- end }}
{{- range $value, $text := dict "model.id" .Values.model.id "model.storageUri" .Values.model.storageUri }}
{{- if contains "{{" $text }}
{{ $value }}: contains {{ "{{" | quote }}, which KServe runs as a template
{{- end }}
{{- end }}
{{- if and .Values.model.hybridMemory (include "lmcache-kserve.lmcache.inProcess" .) }}
model.hybridMemory: LMCache's connector of lmcache.mode in-process does not work with models of hybrid memory; use multiprocess
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.runtime" -}}
{{- $runtime := .Values.runtime -}}
{{- $image := $runtime.image -}}
{{- if and (or $image.tag $image.digest) (not $image.repository) }}
runtime.image.repository: is required when runtime.image.tag or runtime.image.digest is set
{{- end }}
{{- if and (not $image.repository) (eq (int .Values.predictor.gpu.count) 0) }}
runtime.image.repository: the image for runtime.server {{ $runtime.server }} needs a GPU; with predictor.gpu.count 0 name one that does not, as values/cpu.yaml does
{{- end }}
{{- if and $image.repository (not (or $image.tag $image.digest)) }}
runtime.image.tag: is required with runtime.image.repository, unless runtime.image.digest is set
{{- end }}
{{- range $index, $word := $runtime.command }}
{{- if contains "{{" $word }}
runtime.command[{{ $index }}]: contains {{ "{{" | quote }}, which KServe runs as a template
{{- end }}
{{- end }}
{{- $gpus := int .Values.predictor.gpu.count -}}
{{- with $runtime.tensorParallelSize }}
{{- if and (eq $runtime.server "huggingfaceserver") (ne (int .) (max 1 $gpus | int)) }}
runtime.tensorParallelSize: huggingfaceserver uses all {{ $gpus }} GPUs of predictor.gpu.count whatever it is told; leave it empty or use runtime.server vllm
{{- else if and (gt $gpus 0) (gt (int .) $gpus) }}
runtime.tensorParallelSize: {{ int . }} workers need as many GPUs, but predictor.gpu.count is {{ $gpus }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.predictor" -}}
{{- $predictor := .Values.predictor -}}
{{- range $index, $variable := $predictor.env }}
{{- $at := printf "predictor.env[%d] (%s)" $index $variable.name }}
{{- if kindIs "bool" $variable.value }}
{{ $at }}: its value is the Boolean {{ $variable.value }}; quote it, so that the container gets the text that you mean
{{- end }}
{{- if contains "{{" (include "lmcache-kserve.string" $variable.value) }}
{{ $at }}: contains {{ "{{" | quote }}, which KServe runs as a template
{{- end }}
{{- if eq $variable.name "PYTHONPATH" }}
{{ $at }}: KServe refuses PYTHONPATH
{{- end }}
{{- if and (hasKey $variable "value") (hasKey $variable "valueFrom") }}
{{ $at }}: has both value and valueFrom
{{- end }}
{{- if and (include "lmcache-kserve.lmcache.configMap" $) (hasPrefix "LMCACHE_" $variable.name) }}
{{- $key := trimPrefix "LMCACHE_" $variable.name | lower }}
{{- if hasKey (include "lmcache-kserve.lmcache.config" $ | fromJson) $key }}
{{ $at }}: would override {{ $key }} of the configuration file; set it through lmcache.config.{{ $key }}
{{- end }}
{{- end }}
{{- if and (include "lmcache-kserve.predictor.credentials" $) (has $variable.name (list "LMCACHE_REMOTE_URL" "REMOTE_BACKEND_URL" "REMOTE_BACKEND_USERNAME" "REMOTE_BACKEND_PASSWORD" "LAUNCHER_REDACT")) }}
{{ $at }}: is set by the chart, from remoteBackend
{{- end }}
{{- end }}
{{- range $kind, $amounts := dict "requests" $predictor.resources.requests "limits" $predictor.resources.limits }}
{{- if hasKey $amounts $predictor.gpu.resourceName }}
predictor.resources.{{ $kind }}: {{ $predictor.gpu.resourceName }} is set through predictor.gpu.count
{{- end }}
{{- end }}
{{- if and .Values.runtime.home.existingClaim .Values.runtime.home.sizeLimit }}
runtime.home.sizeLimit: limits the emptyDir, which runtime.home.existingClaim replaces; keep one
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.autoscaling" -}}
{{- $scaling := .Values.predictor.autoscaling -}}
{{- if $scaling.enabled }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
predictor.autoscaling.minReplicas: {{ int $scaling.minReplicas }} is more than predictor.autoscaling.maxReplicas, {{ int $scaling.maxReplicas }}
{{- end }}
{{- if include "lmcache-kserve.predictor.knative" . }}
{{- if ne $scaling.class "hpa" }}
predictor.autoscaling.class: {{ $scaling.class }} works in Standard mode only; Knative scales itself
{{- end }}
{{- if or $scaling.metrics $scaling.behavior }}
predictor.autoscaling.metrics, behavior: work in Standard mode only; with Knative use scaleMetric and scaleTarget
{{- end }}
{{- else }}
{{- if has $scaling.scaleMetric (list "concurrency" "rps") }}
predictor.autoscaling.scaleMetric: {{ $scaling.scaleMetric }} works with kserve.deploymentMode Knative only
{{- end }}
{{- if and (eq (int $scaling.minReplicas) 0) (eq $scaling.class "hpa") }}
predictor.autoscaling.minReplicas: 0 needs class keda, or kserve.deploymentMode Knative
{{- end }}
{{- if ne $scaling.class "keda" }}
{{- range $index, $metric := $scaling.metrics }}
{{- if ne $metric.type "Resource" }}
predictor.autoscaling.metrics[{{ $index }}]: type {{ $metric.type }} needs predictor.autoscaling.class keda
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.huggingFace" -}}
{{- if and .Values.huggingFace.token .Values.huggingFace.existingSecret }}
huggingFace.token: and huggingFace.existingSecret exclude each other; keep one
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcache" -}}
{{- $lmcache := .Values.lmcache -}}
{{- if and (not $lmcache.enabled) (ne .Values.remoteBackend.type "none") }}
remoteBackend.type: {{ .Values.remoteBackend.type }} is used by LMCache only; with lmcache.enabled false it must be none
{{- end }}
{{- if and $lmcache.enabled (eq $lmcache.serde "cachegen") (eq (int .Values.predictor.gpu.count) 0) }}
lmcache.serde: cachegen compresses on the GPU, but predictor.gpu.count is 0; use naive
{{- end }}
{{- if gt (include "lmcache-kserve.string" $lmcache.hashSeed | int64) 4294967295 }}
lmcache.hashSeed: {{ include "lmcache-kserve.string" $lmcache.hashSeed }} is more than 4294967295, the most that Python takes
{{- end }}
{{- if and $lmcache.keySalt (ne (include "lmcache-kserve.string" $lmcache.hashSeed) "") }}
lmcache.keySalt: is mixed into the computed seed, which lmcache.hashSeed replaces; keep one
{{- end }}
{{- $chunk := include "lmcache-kserve.lmcache.chunkSize" . | int -}}
{{- $longest := int .Values.model.maxModelLen -}}
{{- if and $lmcache.enabled $longest (lt $longest $chunk) }}
{{ ternary "lmcache.config.chunk_size" "lmcache.chunkSize" (hasKey $lmcache.config "chunk_size") }}: no prompt is as long as a chunk of {{ $chunk }} tokens with model.maxModelLen {{ $longest }}, so nothing would be cached
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcacheConfig" -}}
{{- $config := .Values.lmcache.config -}}
{{- range $key, $value := $config }}
{{- if and (kindIs "string" $value) (has (lower (toString $value)) (list "yes" "no" "on" "off" "y" "n")) }}
lmcache.config.{{ $key }}: {{ $value | quote }} looks like a Boolean, but LMCache takes only true as true; write true or false
{{- end }}
{{- if regexMatch "://[^/@[:space:]]*:[^/@[:space:]]+@" (toJson $value) }}
lmcache.config.{{ $key }}: has a URL with a password, which would stand in a ConfigMap and in the log; use remoteBackend with auth.existingSecret
{{- end }}
{{- end }}
{{- if and (ne .Values.remoteBackend.type "none") (hasKey $config "remote_url") }}
lmcache.config.remote_url: is set through remoteBackend.type {{ .Values.remoteBackend.type }}; use its external.endpoint, or set the type to none
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.memory" -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . }}
{{- $config := include "lmcache-kserve.lmcache.config" . | fromJson -}}
{{- $size := get $config "max_local_cpu_size" | default 0 -}}
{{- $workers := include "lmcache-kserve.predictor.tensorParallelSize" . | int -}}
{{- $limit := get .Values.predictor.resources.limits "memory" | default "" -}}
{{- $bytes := include "lmcache-kserve.bytes" $limit | float64 -}}
{{- if not (and (or (kindIs "float64" $size) (kindIs "int64" $size)) (gt (float64 $size) 0.0)) }}
{{ ternary "lmcache.config.max_local_cpu_size" "lmcache.localCpu.sizeGB" (hasKey .Values.lmcache.config "max_local_cpu_size") }}: must be a number above zero; other tiers exchange chunks through that memory
{{- else if and $limit (eq $bytes 0.0) }}
predictor.resources.limits.memory: {{ $limit | quote }} is not a quantity such as 24Gi
{{- else if and $limit (le $bytes (mulf $size $workers 1073741824.0)) }}
predictor.resources.limits.memory: {{ $limit }} does not hold the CPU tier, lmcache.localCpu.sizeGB {{ toJson $size }} GiB for each of {{ $workers }} {{ ternary "worker" "workers" (eq $workers 1) }}, and the server itself
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.disk" -}}
{{- $disk := .Values.lmcache.localDisk -}}
{{- if include "lmcache-kserve.lmcache.disk" . }}
{{- if le (include "lmcache-kserve.number" (default 0 $disk.sizeGB) | float64) 0.0 }}
lmcache.localDisk.sizeGB: is required, above zero, when lmcache.localDisk.enabled is true; LMCache ignores a disk without a size
{{- end }}
{{- if eq $disk.volume.type "existingClaim" }}
{{- if not $disk.volume.existingClaim }}
lmcache.localDisk.volume.existingClaim: is required with lmcache.localDisk.volume.type existingClaim
{{- end }}
{{- $replicas := include "lmcache-kserve.predictor.maxReplicas" . | int }}
{{- if gt $replicas 1 }}
lmcache.localDisk.volume.existingClaim: {{ $replicas }} replicas would evict each other's files; use type ephemeral or emptyDir, or one replica
{{- end }}
{{- else if $disk.volume.existingClaim }}
lmcache.localDisk.volume.existingClaim: is used with lmcache.localDisk.volume.type existingClaim only
{{- end }}
{{- if and (eq $disk.volume.type "ephemeral") (include "lmcache-kserve.predictor.knative" .) }}
lmcache.localDisk.volume.type: ephemeral works in Standard mode only; Knative has no such volumes
{{- end }}
{{- end }}
{{- end }}
