{{/*
Rules for the values of what serves the model: kserve, model, huggingFace, runtime and predictor.
*/}}

{{- define "lmcache-kserve.validate.inference" -}}
{{- range list "kserve" "model" "storage" "runtime" "workers" "predictor" "extra" "claims" "network" "autoscaling" "preset" "huggingFace" }}
{{- include (printf "lmcache-kserve.validate.%s" .) $ }}
{{- end }}
{{- end }}

{{/* KServe runs these texts as a Go template. Input: dict "path" "model.id" "text" "...". */}}
{{- define "lmcache-kserve.validate.noTemplate" -}}
{{- if contains "{{" .text }}
{{ .path }}: contains {{ "{{" | quote }}, which KServe runs as a template; put the text into a file, for example in predictor.volumes
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.kserve" -}}
{{- $version := .Values.kserve.version -}}
{{- $oldest := index .Chart.Annotations "lmcache-kserve/oldest-kserve" -}}
{{- if include "lmcache-kserve.versions.older" (list (include "lmcache-kserve.versions.kserve" .) $oldest) }}
kserve.version: {{ $version }} is older than {{ $oldest }}, the first release whose webhook admits what the chart renders
{{- end }}
{{- range $key, $value := dict
      "serving.kserve.io/deploymentMode" "kserve.deploymentMode"
      "serving.kserve.io/autoscalerClass" "predictor.autoscaling.class"
      "lmcache-kserve/remote-backend" "remoteBackend.type"
      "lmcache-kserve/mode" "lmcache.mode" }}
{{- if hasKey $.Values.kserve.annotations $key }}
kserve.annotations: {{ $key }} is set through {{ $value }}
{{- end }}
{{- end }}
{{- include "lmcache-kserve.validate.labels" (dict "path" "kserve.labels" "labels" .Values.kserve.labels) }}
{{- end }}

{{/* Arguments that hide from the chart what it counts and compares. Input: dict "at" the value's place "argument" the word. */}}
{{- define "lmcache-kserve.validate.argument" -}}
{{- $option := include "lmcache-kserve.arguments.name" .argument }}
{{- with include "lmcache-kserve.arguments.whole" $option | fromJsonArray }}
{{ $.at }}: the server takes {{ $option }} for {{ if gt (len .) 1 }}one of {{ end }}{{ join ", " . }}; write the whole name of the option
{{- end }}
{{- if eq $option "--config" }}
{{ .at }}: the chart cannot read the file of --config, which may set ports, sizes and keys; write its options into model.extraArgs
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.model" -}}
{{- $lmcache := .Values.lmcache -}}
{{- $inProcess := include "lmcache-kserve.lmcache.inProcess" . -}}
{{- range $index, $argument := .Values.model.extraArgs }}
{{- $at := printf "model.extraArgs[%d]" $index }}
{{- $option := include "lmcache-kserve.arguments.name" $argument }}
{{- include "lmcache-kserve.validate.noTemplate" (dict "path" $at "text" $argument) }}
{{- include "lmcache-kserve.validate.argument" (dict "at" $at "argument" $argument) }}
{{- if regexMatch `^--?[A-Za-z][A-Za-z0-9_-]*\s` $argument }}
{{ $at }}: {{ $option }} and its value are one word here; write two entries, or {{ $option }}=VALUE
{{- end }}
{{- if and $lmcache.enabled (eq $option "--kv-transfer-config") }}
{{ $at }}: {{ $option }} is set through lmcache.kvRole, lmcache.kvLoadFailurePolicy and lmcache.kvTransferConfig
{{- end }}
{{- if and $lmcache.enabled (hasPrefix "--kv-offloading-" $option) }}
{{ $at }}: {{ $option }} starts another KV-cache connector beside LMCache; remove it or set lmcache.enabled to false
{{- end }}
{{- if and $inProcess (eq $option "--no-disable-hybrid-kv-cache-manager") }}
{{ $at }}: LMCache's in-process connector does not work with hybrid memory; remove {{ $option }} or use lmcache.mode multiprocess
{{- end }}
{{- $adapters := has $option (list "--enable-lora" "--lora-modules" "--default-mm-loras") }}
{{- if and $lmcache.enabled $adapters (not $lmcache.adaptersByTag) }}
{{ $at }}: LMCache would answer a request for one adapter of {{ $option }} with another's prefix; serve merged models or set lmcache.adaptersByTag
{{- end }}
{{- with get (dict
      "--port" "runtime.port" "--http-port" "runtime.port"
      "--model" "model.id" "--model-id" "model.id" "--model-dir" "model.storageUri"
      "--served-model-name" "model.name and model.aliases" "--model-name" "model.name"
      "--max-model-len" "model.maxModelLen" "--tensor-parallel-size" "runtime.tensorParallelSize" "-tp" "runtime.tensorParallelSize"
      "--enable-prefix-caching" "runtime.prefixCaching" "--no-enable-prefix-caching" "runtime.prefixCaching") $option }}
{{ $at }}: {{ $option }} is set through {{ . }}
{{- end }}
{{- end }}
{{- range $path, $text := dict "model.id" .Values.model.id "model.storageUri" .Values.model.storageUri }}
{{- include "lmcache-kserve.validate.noTemplate" (dict "path" $path "text" $text) }}
{{- end }}
{{- if and .Values.model.hybridMemory $inProcess }}
model.hybridMemory: LMCache's connector of lmcache.mode in-process does not work with hybrid memory; use multiprocess
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.runtime" -}}
{{- $runtime := .Values.runtime -}}
{{- $gpus := int .Values.predictor.gpu.count -}}
{{- include "lmcache-kserve.images.problems" (dict "path" "runtime.image" "image" $runtime.image) }}
{{- if not (or $runtime.image.repository (gt $gpus 0)) }}
runtime.image.repository: the default image needs a GPU, but predictor.gpu.count is 0; name an image for CPUs, as values/cpu.yaml does, or count the GPUs
{{- end }}
{{- if eq (toString (int $runtime.port)) (include "lmcache-kserve.predictor.grpcPort" .) }}
runtime.port: {{ int $runtime.port }} is the port that huggingfaceserver takes for gRPC; use another, such as 8080
{{- end }}
{{- $read := list }}
{{- range include "lmcache-kserve.arguments.ofServer" $runtime.command | fromJsonArray }}{{ $read = append $read (int .) }}{{ end }}
{{- range $index, $word := $runtime.command }}
{{- include "lmcache-kserve.validate.noTemplate" (dict "path" (printf "runtime.command[%d]" $index) "text" $word) }}
{{- if has $index $read }}
{{- include "lmcache-kserve.validate.argument" (dict "at" (printf "runtime.command[%d]" $index) "argument" $word) }}
{{- end }}
{{- end }}
{{- with $runtime.tensorParallelSize }}
{{- if and (eq $runtime.server "huggingfaceserver") (ne (int .) (max 1 $gpus | int)) }}
runtime.tensorParallelSize: huggingfaceserver always uses all {{ $gpus }} GPUs of predictor.gpu.count; leave it empty or use runtime.server vllm
{{- end }}
{{- end }}
{{- if and $runtime.home.existingClaim $runtime.home.sizeLimit }}
runtime.home.sizeLimit: limits the emptyDir, which runtime.home.existingClaim replaces; keep one
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.predictor" -}}
{{- $predictor := .Values.predictor -}}
{{- $settings := dict -}}
{{- if include "lmcache-kserve.lmcache.configMap" . }}{{ $settings = include "lmcache-kserve.lmcache.config" . | fromJson }}{{ end -}}
{{- $owned := list -}}
{{- if include "lmcache-kserve.predictor.credentials" . }}
{{- $owned = list "LMCACHE_REMOTE_URL" "REMOTE_BACKEND_URL" "REMOTE_BACKEND_USERNAME" "REMOTE_BACKEND_PASSWORD" "LAUNCHER_REDACT" -}}
{{- end -}}
{{- range $index, $variable := $predictor.env }}
{{- $at := printf "predictor.env[%d] (%s)" $index $variable.name }}
{{- $text := include "lmcache-kserve.string" $variable.value }}
{{- $key := trimPrefix "LMCACHE_" $variable.name | lower }}
{{- include "lmcache-kserve.validate.noTemplate" (dict "path" $at "text" $text) }}
{{- if eq $variable.name "PYTHONPATH" }}
{{ $at }}: KServe refuses PYTHONPATH
{{- end }}
{{- if and (hasKey $variable "value") (hasKey $variable "valueFrom") }}
{{ $at }}: has both value and valueFrom; keep one
{{- end }}
{{- if and (hasPrefix "LMCACHE_" $variable.name) (hasKey $settings $key) }}
{{ $at }}: would override {{ $key }} of the configuration file; set it through lmcache.config.{{ $key }}
{{- end }}
{{- if has $variable.name $owned }}
{{ $at }}: is set by the chart, from remoteBackend
{{- end }}
{{- end }}
{{- range $kind, $amounts := dict "requests" $predictor.resources.requests "limits" $predictor.resources.limits }}
{{- if and $predictor.gpu.resourceName (hasKey $amounts $predictor.gpu.resourceName) }}
predictor.resources.{{ $kind }}: {{ $predictor.gpu.resourceName }} is set through predictor.gpu.count
{{- end }}
{{- end }}
{{- include "lmcache-kserve.validate.labels" (dict "path" "predictor.podLabels" "labels" $predictor.podLabels) }}
{{- end }}

{{- define "lmcache-kserve.validate.huggingFace" -}}
{{- if and .Values.huggingFace.token .Values.huggingFace.existingSecret }}
huggingFace.token: excludes huggingFace.existingSecret; keep one of the two
{{- end }}
{{- $key := include "lmcache-kserve.huggingFace.secretKey" . }}
{{- $chosen := include "lmcache-kserve.huggingFace.storageChosen" . }}
{{- $downloads := include "lmcache-kserve.huggingFace.downloadedByKServe" . }}
{{- if and $downloads .Values.huggingFace.existingSecret (ne $key "HF_TOKEN") (not $chosen) }}
huggingFace.existingSecretKey: KServe downloads hf:// with key HF_TOKEN, not {{ $key }}; rename it, or list a Secret in predictor.serviceAccountName
{{- end }}
{{- end }}
