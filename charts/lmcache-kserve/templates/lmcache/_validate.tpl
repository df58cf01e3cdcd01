{{/*
Rules for the values of LMCache: lmcache, in both modes.
*/}}

{{- define "lmcache-kserve.validate.lmcache" -}}
{{- range list "version" "engine" "configuration" "memory" "disk" "multiprocess" "tenants" }}
{{- include (printf "lmcache-kserve.validate.lmcache.%s" .) $ }}
{{- end }}
{{- end }}

{{/* Images and releases that the chart cannot use. */}}
{{- define "lmcache-kserve.validate.lmcache.version" -}}
{{- if .Values.lmcache.enabled }}
{{- $policy := .Values.lmcache.kvLoadFailurePolicy }}
{{- with include "lmcache-kserve.versions.unusable" (list . "lmcache") }}
runtime.image.tag: {{ . }}
{{- end }}
{{- with include "lmcache-kserve.versions.lacks" (list . "chart") }}
{{- $value := ternary "lmcache.version" "runtime.image.tag" (not (empty $.Values.lmcache.version)) }}
{{ $value }}: the chart {{ . }}; earlier releases end their vLLM or share nothing; use KServe's image from v0.18 on
{{- else }}
{{- if and $policy (include "lmcache-kserve.lmcache.inProcess" $) }}
{{- with include "lmcache-kserve.versions.lacks" (list $ "vllm" "loadFailurePolicy") }}
lmcache.kvLoadFailurePolicy: {{ $policy }} {{ . }}; use a newer image
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What LMCache and the engine have to agree on. */}}
{{- define "lmcache-kserve.validate.lmcache.engine" -}}
{{- $lmcache := .Values.lmcache -}}
{{- if and (not $lmcache.enabled) (ne .Values.remoteBackend.type "none") }}
remoteBackend.type: {{ .Values.remoteBackend.type }} is used by LMCache only; with lmcache.enabled false it must be none
{{- end }}
{{- if and $lmcache.enabled (eq $lmcache.serde "cachegen") (eq (int .Values.predictor.gpu.count) 0) }}
lmcache.serde: cachegen compresses on the GPU, but predictor.gpu.count is 0; use naive
{{- end }}
{{- $seed := include "lmcache-kserve.string" $lmcache.hashSeed }}
{{- if gt (int64 $seed) 4294967295 }}
lmcache.hashSeed: {{ $seed }} is more than 4294967295, the most that Python takes
{{- end }}
{{- if and $lmcache.keySalt (ne $seed "") }}
lmcache.keySalt: is part of the computed seed, which lmcache.hashSeed replaces; keep one
{{- end }}
{{- $chunk := include "lmcache-kserve.lmcache.chunkSize" . | int -}}
{{- $longest := int .Values.model.maxModelLen -}}
{{- if and $lmcache.enabled $longest (lt $longest $chunk) }}
{{- $value := include "lmcache-kserve.lmcache.chunkSizeValue" . }}
{{ $value }}: a chunk of {{ $chunk }} tokens is longer than any prompt with model.maxModelLen {{ $longest }}, so nothing would be cached
{{- end }}
{{- end }}

{{/* The user's own settings of LMCache. */}}
{{- define "lmcache-kserve.validate.lmcache.configuration" -}}
{{- $config := .Values.lmcache.config -}}
{{- range $key, $value := $config }}
{{- if and (kindIs "string" $value) (has (lower (toString $value)) (list "yes" "no" "on" "off" "y" "n")) }}
lmcache.config.{{ $key }}: {{ $value | quote }} looks like a Boolean, but LMCache takes only true as true; write true or false
{{- end }}
{{- end }}
{{- if and (ne .Values.remoteBackend.type "none") (hasKey $config "remote_url") }}
lmcache.config.remote_url: is set through remoteBackend.type {{ .Values.remoteBackend.type }}; use its external.endpoint, or set the type to none
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcache.memory" -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . }}
{{- $config := include "lmcache-kserve.lmcache.config" . | fromJson -}}
{{- $size := get $config "max_local_cpu_size" | default 0 -}}
{{- $workers := include "lmcache-kserve.workers" . | int -}}
{{- $limit := get .Values.predictor.resources.limits "memory" | default "" -}}
{{- $bytes := include "lmcache-kserve.bytes" $limit | float64 -}}
{{- if not (and (or (kindIs "float64" $size) (kindIs "int64" $size)) (gt (float64 $size) 0.0)) }}
{{- $value := ternary "lmcache.config.max_local_cpu_size" "lmcache.localCpu.sizeGB" (hasKey .Values.lmcache.config "max_local_cpu_size") }}
{{ $value }}: must be a number above zero, because disk and backend get their chunks from this memory
{{- else if and $limit (eq $bytes 0.0) }}
predictor.resources.limits.memory: {{ $limit | quote }} is not a quantity such as 24Gi
{{- else if and $limit (le $bytes (mulf $size $workers 1073741824.0)) }}
{{- $each := ternary "its worker" (printf "each of %d workers" $workers) (eq $workers 1) }}
predictor.resources.limits.memory: {{ $limit }} does not hold lmcache.localCpu.sizeGB, {{ toJson $size }} GiB for {{ $each }}, and the server
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcache.disk" -}}
{{- $disk := .Values.lmcache.localDisk -}}
{{- $at := "lmcache.localDisk" -}}
{{- if include "lmcache-kserve.lmcache.disk" . }}
{{- if le (include "lmcache-kserve.number" (default 0 $disk.sizeGB) | float64) 0.0 }}
{{ $at }}.sizeGB: is required, above zero, when {{ $at }}.enabled is true; LMCache ignores a disk without a size
{{- end }}
{{- $replicas := include "lmcache-kserve.predictor.maxReplicas" . | int }}
{{- if and (eq $disk.volume.type "existingClaim") (include "lmcache-kserve.multiprocess.daemonset" .) }}
{{ $at }}.volume.type: existingClaim is one folder, and placement daemonset has a server on each node; use emptyDir or ephemeral
{{- else if eq $disk.volume.type "existingClaim" }}
{{- if not $disk.volume.existingClaim }}
{{ $at }}.volume.existingClaim: is required with {{ $at }}.volume.type existingClaim
{{- end }}
{{- if gt $replicas 1 }}
{{ $at }}.volume.existingClaim: {{ $replicas }} replicas would evict each other's files; use type ephemeral or emptyDir, or one replica
{{- end }}
{{- else if $disk.volume.existingClaim }}
{{ $at }}.volume.existingClaim: is used with {{ $at }}.volume.type existingClaim only
{{- end }}
{{- $predictors := not (include "lmcache-kserve.multiprocess.daemonset" .) }}
{{- if and $predictors (eq $disk.volume.type "ephemeral") (include "lmcache-kserve.predictor.knative" .) }}
{{ $at }}.volume.type: ephemeral works in Standard mode only; Knative has no such volumes
{{- end }}
{{- end }}
{{- end }}

{{/* The disk tier in the container of LMCache's server. */}}
{{- define "lmcache-kserve.validate.lmcache.multiprocess.disk" -}}
{{- if include "lmcache-kserve.lmcache.disk" . }}
{{- $path := clean .Values.lmcache.localDisk.path }}
{{- if has $path (list "/" "/tmp" "/dev/shm" (include "lmcache-kserve.scripts.path" .)) }}
lmcache.localDisk.path: {{ $path }} is a folder that LMCache's server needs for other files; use another, such as /var/lib/lmcache
{{- end }}
{{- $limit := dig "limits" "ephemeral-storage" "" .Values.lmcache.multiprocess.resources }}
{{- $disk := include "lmcache-kserve.lmcache.ephemeralStorage" . }}
{{- if and $limit $disk (lt (include "lmcache-kserve.bytes" $limit | float64) (include "lmcache-kserve.bytes" $disk | float64)) }}
lmcache.multiprocess.resources.limits.ephemeral-storage: {{ $limit }} does not hold lmcache.localDisk.sizeGB, {{ $disk }}
{{- end }}
{{- end }}
{{- end }}

{{/* Releases and options that not every image has: the predictor's, and the server's where the server has its own. */}}
{{- define "lmcache-kserve.validate.lmcache.multiprocess.version" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- $at := "lmcache.multiprocess" -}}
{{- if $mode.image.repository }}
{{- with include "lmcache-kserve.versions.unusable" (list . "server") }}
{{ $at }}.image.tag: {{ . }}
{{- end }}
{{- end }}
{{- with include "lmcache-kserve.versions.lacks" (list . "multiprocess") }}
lmcache.mode: multiprocess {{ . }}; use a newer image, or mode in-process
{{- else }}
{{- with include "lmcache-kserve.versions.lacks" (list . "server" "multiprocess") }}
{{ $at }}.image.tag: the server {{ . }}; use a newer image
{{- else }}
{{- include "lmcache-kserve.validate.lmcache.multiprocess.options" $ }}
{{- end }}
{{- end }}
{{- with include "lmcache-kserve.versions.lacks" (list . "vllm" "multiprocess") }}
lmcache.mode: multiprocess {{ . }}; use an image with a newer vLLM, or mode in-process
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcache.multiprocess.options" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- $at := "lmcache.multiprocess" -}}
{{- if include "lmcache-kserve.multiprocess.isolatedIpc" . }}
{{- $advice := "leave it empty, because the containers of a pod share memory anyway" }}
{{- if eq $mode.placement "daemonset" }}
{{- $advice = printf "use a newer image, set it to false and %s.hostSharedMemory to true, or set %s.transferMode to engine_driven" $at $at }}
{{- end }}
{{- $engine := include "lmcache-kserve.versions.lacks" (list . "isolatedIpc") }}
{{- with default (include "lmcache-kserve.versions.lacks" (list . "server" "isolatedIpc")) $engine }}
{{ $at }}.isolatedIpc: true {{ . }}; {{ $advice }}
{{- end }}
{{- end }}
{{- if eq $mode.l1.evictionPolicy "ARC" }}
{{- with include "lmcache-kserve.versions.lacks" (list . "server" "arc") }}
{{ $at }}.l1.evictionPolicy: ARC {{ . }}; use LRU
{{- end }}
{{- end }}
{{- end }}

{{/* Memory of a GPU that one process can hand to another without a common IPC namespace comes from cudaMalloc only. */}}
{{- define "lmcache-kserve.validate.lmcache.multiprocess.ipc" -}}
{{- $advice := "set lmcache.multiprocess.isolatedIpc to false" }}
{{- if include "lmcache-kserve.multiprocess.daemonset" . }}
{{- $advice = "use lmcache.multiprocess.hostSharedMemory, or transferMode engine_driven" }}
{{- end }}
{{- if include "lmcache-kserve.multiprocess.isolatedIpc" . }}
{{- range $index, $argument := .Values.model.extraArgs }}
{{- if eq "--enable-sleep-mode" (include "lmcache-kserve.arguments.name" $argument) }}
model.extraArgs[{{ $index }}]: --enable-sleep-mode allocates GPU memory that isolated IPC cannot share; remove it, or {{ $advice }}
{{- end }}
{{- end }}
{{- range $index, $variable := .Values.predictor.env }}
{{- if and (regexMatch "^PYTORCH_(CUDA_|HIP_)?ALLOC_CONF$" $variable.name) (regexMatch "(?i)expandable_segments:true" (toString $variable.value)) }}
predictor.env[{{ $index }}] ({{ $variable.name }}): isolated IPC cannot share expandable segments; remove it, or {{ $advice }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcache.multiprocess" -}}
{{- if include "lmcache-kserve.multiprocess" . }}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- $at := "lmcache.multiprocess" -}}
{{- include "lmcache-kserve.validate.labels" (dict "path" (printf "%s.daemonset.podLabels" $at) "labels" $mode.daemonset.podLabels) }}
{{- include "lmcache-kserve.validate.lmcache.multiprocess.version" . }}
{{- if and (include "lmcache-kserve.multiprocess.sidecar" .) (include "lmcache-kserve.predictor.knative" .) }}
{{ $at }}.placement: sidecar works in Standard mode only, because Knative refuses init containers; use daemonset
{{- end }}
{{- if .Values.lmcache.config }}
lmcache.config: is the configuration of mode in-process; use {{ $at }}.extraArgs, the arguments of `lmcache server`
{{- end }}
{{- include "lmcache-kserve.validate.lmcache.multiprocess.disk" . }}
{{- if .Values.lmcache.adaptersByTag }}
lmcache.adaptersByTag: works with lmcache.mode in-process only; serve each adapter merged into its model
{{- end }}
{{- if ne .Values.lmcache.serde "naive" }}
lmcache.serde: {{ .Values.lmcache.serde }} works with lmcache.mode in-process only; use naive
{{- end }}
{{- include "lmcache-kserve.images.problems" (dict "path" "lmcache.multiprocess.image" "image" $mode.image) }}
{{- $taken := dict -}}
{{- if include "lmcache-kserve.multiprocess.sidecar" . -}}
{{- $_ := set $taken (toString (int .Values.runtime.port)) "runtime.port" -}}
{{- with include "lmcache-kserve.predictor.grpcPort" . }}{{ $_ := set $taken . "the port for gRPC of runtime.server huggingfaceserver" }}{{ end -}}
{{- end -}}
{{- range $key, $port := dict "port" $mode.port "httpPort" $mode.httpPort "metrics.port" $mode.metrics.port }}
{{- with get $taken (toString (int $port)) }}
{{ $at }}.{{ $key }}: {{ int $port }} is {{ . }} too, and both listen in one pod
{{- end }}
{{- $_ := set $taken (toString (int $port)) (printf "%s.%s" $at $key) }}
{{- end }}
{{- $limit := dig "limits" "memory" "" $mode.resources -}}
{{- $bytes := include "lmcache-kserve.bytes" $limit | float64 -}}
{{- $size := include "lmcache-kserve.number" $mode.l1.sizeGB | float64 -}}
{{- if not $limit }}
{{ $at }}.resources.limits.memory: is needed, so that the server is bounded by more than the node
{{- else if lt $bytes (mulf (addf $size 2.0) 1073741824.0) }}
{{ $at }}.resources.limits.memory: {{ $limit }} does not hold {{ $at }}.l1.sizeGB {{ toJson $mode.l1.sizeGB }} GiB and 2 GiB for the server itself
{{- end }}
{{- if le (int $mode.mqTimeoutSeconds) (mul 2 (int $mode.heartbeatSeconds)) }}
{{- $beat := int $mode.heartbeatSeconds }}
{{ $at }}.mqTimeoutSeconds: {{ int $mode.mqTimeoutSeconds }} must be more than twice {{ $at }}.heartbeatSeconds, {{ $beat }}; pings notice a dead server first
{{- end }}
{{- if and (eq $mode.transferMode "lmcache_driven") (eq (int .Values.predictor.gpu.count) 0) }}
{{ $at }}.transferMode: lmcache_driven reads GPU memory, but predictor.gpu.count is 0; use engine_driven
{{- end }}
{{- include "lmcache-kserve.validate.lmcache.multiprocess.ipc" . }}
{{- if include "lmcache-kserve.multiprocess.sharesGpu" . }}
{{- if and (include "lmcache-kserve.predictor.claimsGpus" .) (eq $mode.placement "daemonset") }}
{{ $at }}.placement: a claim gives its GPUs to the replica's pod only, so a daemonset cannot read their memory; use sidecar or transferMode engine_driven
{{- end }}
{{- if not (or (hasPrefix "nvidia.com/" .Values.predictor.gpu.resourceName) (include "lmcache-kserve.predictor.claimsGpus" .)) }}
{{ $at }}.transferMode: a server reads the memory of NVIDIA's GPUs only, not of {{ .Values.predictor.gpu.resourceName }}; use engine_driven
{{- end }}
{{- if and (eq $mode.placement "daemonset") (kindIs "bool" $mode.isolatedIpc) (not $mode.isolatedIpc) (not $mode.hostSharedMemory) }}
{{ $at }}.isolatedIpc: false needs {{ $at }}.hostSharedMemory with placement daemonset: different pods share no memory
{{- end }}
{{- end }}
{{- if $mode.l1.shared }}
{{- if ne $mode.placement "sidecar" }}
{{ $at }}.l1.shared: is for placement sidecar: pods of their own share no memory
{{- else if or (gt (int .Values.predictor.gpu.count) 0) (include "lmcache-kserve.predictor.claimsGpus" .) }}
{{ $at }}.l1.shared: is for engines without GPUs; with GPUs the server reads their memory
{{- end }}
{{- end }}
{{- if and $mode.hostSharedMemory (eq $mode.placement "sidecar") }}
{{ $at }}.hostSharedMemory: is for placement daemonset; containers of one pod share memory anyway
{{- end }}
{{- range $index, $argument := $mode.extraArgs }}
{{- $option := regexFind "^--[A-Za-z0-9_-]+" $argument | replace "_" "-" }}
{{- with get (dict
      "--host" "lmcache.multiprocess.placement" "--port" "lmcache.multiprocess.port"
      "--http-host" "lmcache.multiprocess.metrics" "--http-port" "lmcache.multiprocess.httpPort"
      "--chunk-size" "lmcache.chunkSize" "--hash-algorithm" "lmcache.hashAlgorithm" "--l1-size-gb" "lmcache.multiprocess.l1.sizeGB"
      "--eviction-policy" "lmcache.multiprocess.l1.evictionPolicy"
      "--supported-transfer-mode" "lmcache.multiprocess.transferMode"
      "--max-workers" "lmcache.multiprocess.workers" "--isolated-ipc" "lmcache.multiprocess.isolatedIpc"
      "--shm-name" "lmcache.multiprocess.l1.shared") $option }}
{{ $at }}.extraArgs[{{ $index }}]: {{ $option }} is set through {{ . }}
{{- end }}
{{- if eq $option "--run-script-api-enabled" }}
{{ $at }}.extraArgs[{{ $index }}]: {{ $option }} lets whoever reaches the server run code in it
{{- end }}
{{- end }}
{{- range $index, $variable := $mode.env }}
{{- if has $variable.name (list "LMCACHE_RESP_USERNAME" "LMCACHE_RESP_PASSWORD") }}
{{ $at }}.env[{{ $index }}] ({{ $variable.name }}): is set by the chart, from remoteBackend
{{- end }}
{{- end }}
{{- $type := .Values.remoteBackend.type }}
{{- $adapter := include "lmcache-kserve.backend.ask" (list . "l2Adapter") }}
{{- if and (include "lmcache-kserve.backend.known" .) (ne $type "none") (not $adapter) }}
remoteBackend.type: {{ $type }} has no adapter in lmcache.mode multiprocess; use redis, valkey, redis-sentinel, filesystem or s3, or mode in-process
{{- end }}
{{- end }}
{{- end }}
