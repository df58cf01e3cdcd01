{{/*
Mode multiprocess: `lmcache server`, as a sidecar of each replica or one on each node, and vLLM's connector to it.
files/mp_server.py runs it.
*/}}

{{/* Whether LMCache runs in a server of its own. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess" -}}
{{- if and .Values.lmcache.enabled (eq .Values.lmcache.mode "multiprocess") }}true{{ end -}}
{{- end }}

{{/* Whether that server is a sidecar. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.sidecar" -}}
{{- if and (include "lmcache-kserve.multiprocess" .) (eq .Values.lmcache.multiprocess.placement "sidecar") }}true{{ end -}}
{{- end }}

{{/* Whether it is a DaemonSet. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.daemonset" -}}
{{- if and (include "lmcache-kserve.multiprocess" .) (eq .Values.lmcache.multiprocess.placement "daemonset") }}true{{ end -}}
{{- end }}

{{/* Name of the DaemonSet, its Service and its policy. */}}
{{- define "lmcache-kserve.multiprocess.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "cache") -}}
{{- end }}

{{/* Host at which an engine finds its server. */}}
{{- define "lmcache-kserve.multiprocess.host" -}}
{{- if eq .Values.lmcache.multiprocess.placement "daemonset" -}}
{{ include "lmcache-kserve.multiprocess.name" . }}.{{ .Release.Namespace }}.svc
{{- else -}}
127.0.0.1
{{- end -}}
{{- end }}

{{/* Whether engine and server share GPU memory. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.sharesGpu" -}}
{{- if and (gt (int .Values.predictor.gpu.count) 0) (ne .Values.lmcache.multiprocess.transferMode "engine_driven") }}true{{ end -}}
{{- end }}

{{/* Whether they do so without a common IPC namespace. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.isolatedIpc" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- if include "lmcache-kserve.multiprocess.sharesGpu" . -}}
{{- if kindIs "bool" $mode.isolatedIpc | ternary $mode.isolatedIpc (and (eq $mode.placement "daemonset") (not $mode.hostSharedMemory)) }}true{{ end -}}
{{- end -}}
{{- end }}

{{/* Whether the node's /dev/shm takes the place of the pod's. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.hostSharedMemory" -}}
{{- if and (include "lmcache-kserve.multiprocess.daemonset" .) .Values.lmcache.multiprocess.hostSharedMemory }}true{{ end -}}
{{- end }}

{{/* Value of `--kv-transfer-config`. Output: YAML dict. */}}
{{- define "lmcache-kserve.lmcache.multiprocess.kvTransferConfig" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
kv_connector: LMCacheMPConnector
# vLLM's own class of this name is older than the server.
kv_connector_module_path: lmcache.integration.vllm.lmcache_mp_connector
kv_role: {{ .Values.lmcache.kvRole }}
{{- with .Values.lmcache.kvLoadFailurePolicy }}
kv_load_failure_policy: {{ . }}
{{- end }}
kv_connector_extra_config:
  lmcache.mp.host: {{ printf "tcp://%s" (include "lmcache-kserve.multiprocess.host" .) | quote }}
  lmcache.mp.port: {{ int $mode.port }}
  lmcache.mp.mq_timeout: {{ int $mode.mqTimeoutSeconds }}
  lmcache.mp.heartbeat_interval: {{ int $mode.heartbeatSeconds }}
  lmcache.mp.mp_transfer_mode: {{ $mode.transferMode }}
  {{- if include "lmcache-kserve.multiprocess.isolatedIpc" . }}
  lmcache.mp.isolated_ipc: true
  {{- end }}
{{- end }}

{{/* Arguments of `lmcache server` that the chart sets. Output: JSON list. */}}
{{- define "lmcache-kserve.multiprocess.serverArgs" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- $args := list
      (printf "--host=%s" (ternary "0.0.0.0" "127.0.0.1" (eq $mode.placement "daemonset")))
      (printf "--port=%d" (int $mode.port))
      "--http-host=127.0.0.1"
      (printf "--http-port=%d" (int $mode.httpPort))
      (printf "--chunk-size=%s" (include "lmcache-kserve.lmcache.chunkSize" .))
      (printf "--hash-algorithm=%s" .Values.lmcache.hashAlgorithm)
      (printf "--l1-size-gb=%s" (include "lmcache-kserve.number" $mode.l1.sizeGB))
      (printf "--eviction-policy=%s" $mode.l1.evictionPolicy)
      (printf "--supported-transfer-mode=%s" $mode.transferMode)
      (printf "--max-workers=%d" (default (include "lmcache-kserve.predictor.tensorParallelSize" . | int) $mode.workers | int)) -}}
{{- /* An engine pings from its first request on. One that waits longer for it than this, an hour by default, is forgotten
and never registers again. */ -}}
{{- $args = append $args "--worker-registration-grace-seconds=604800" -}}
{{- if include "lmcache-kserve.multiprocess.isolatedIpc" . }}{{ $args = append $args "--isolated-ipc" }}{{ end -}}
{{- with include "lmcache-kserve.backend.ask" (list . "l2Adapter") }}{{ $args = concat $args (list "--l2-adapter" .) }}{{ end -}}
{{- toJson $args -}}
{{- end }}

{{/* Environment of the server. Output: JSON list. */}}
{{- define "lmcache-kserve.multiprocess.env" -}}
{{- $own := list
      (dict "name" "HOME" "value" "/tmp")
      (dict "name" "LMCACHE_LOG_LEVEL" "value" .Values.lmcache.logLevel)
      (dict "name" "LMCACHE_TRACK_USAGE" "value" (toString .Values.lmcache.trackUsage))
      (dict "name" "PYTHONHASHSEED" "value" (include "lmcache-kserve.identity.seed" .)) -}}
{{- if and (include "lmcache-kserve.multiprocess.sharesGpu" .) (hasPrefix "nvidia.com/" .Values.predictor.gpu.resourceName) -}}
  {{- /* It sees the engine's GPUs without counting any of them as its own. */ -}}
  {{- $own = concat $own (list
        (dict "name" "NVIDIA_VISIBLE_DEVICES" "value" "all")
        (dict "name" "NVIDIA_DRIVER_CAPABILITIES" "value" "compute,utility")) -}}
{{- end -}}
{{- include "lmcache-kserve.mergeEnv" (list $own (include "lmcache-kserve.backend.ask" (list . "l2Env") | fromYamlArray) .Values.lmcache.multiprocess.env) -}}
{{- end }}

{{/* A probe of the server, from inside its container: its routes are on the loopback address only. */}}
{{- define "lmcache-kserve.multiprocess.check" -}}
exec:
  command:
    - python3
    - {{ include "lmcache-kserve.scripts.path" . }}/mp_server.py
    - --check
    - {{ int .Values.lmcache.multiprocess.httpPort | quote }}
timeoutSeconds: 10
{{- end }}

{{/*
The server's container, in either placement. Without a readiness probe in a sidecar: a replica whose server starts again
goes on serving without it. The user is the predictor's, so that both may read what they share in memory.
Output: YAML dict.
*/}}
{{- define "lmcache-kserve.multiprocess.container" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
name: lmcache-server
{{- if $mode.image.repository }}
image: {{ include "lmcache-kserve.image" $mode.image }}
{{- else }}
image: {{ include "lmcache-kserve.images.predictor" . }}
{{- end }}
imagePullPolicy: {{ $mode.image.pullPolicy }}
command:
  - python3
  - {{ include "lmcache-kserve.scripts.path" . }}/mp_server.py
args:
  # An engine that has just pinged takes two intervals to notice that nobody answers.
  - --silence={{ add1 (mul 2 (int $mode.heartbeatSeconds)) }}
  {{- if $mode.logRequests }}
  - --log-requests
  {{- end }}
  {{- if $mode.metrics.enabled }}
  - --metrics-port={{ int $mode.metrics.port }}
  {{- end }}
  - --
  {{- include "lmcache-kserve.multiprocess.serverArgs" . | fromJsonArray | toYaml | nindent 2 }}
  {{- with $mode.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "lmcache-kserve.multiprocess.env" . | fromJsonArray | toYaml | nindent 2 }}
ports:
  - name: lmcache
    containerPort: {{ int $mode.port }}
    protocol: TCP
  - name: lmcache-http
    containerPort: {{ int $mode.httpPort }}
    protocol: TCP
  {{- if $mode.metrics.enabled }}
  - name: lmcache-metrics
    containerPort: {{ int $mode.metrics.port }}
    protocol: TCP
  {{- end }}
{{- /* Importing PyTorch takes seconds, on a busy node many. */}}
startupProbe:
  {{- include "lmcache-kserve.multiprocess.check" . | nindent 2 }}
  periodSeconds: 3
  failureThreshold: 100
livenessProbe:
  {{- include "lmcache-kserve.multiprocess.check" . | nindent 2 }}
  periodSeconds: 20
  failureThreshold: 6
{{- with $mode.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.predictor.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: scripts
    mountPath: {{ include "lmcache-kserve.scripts.path" . }}
    readOnly: true
  - name: lmcache-tmp
    mountPath: /tmp
  {{- if include "lmcache-kserve.multiprocess.sharesGpu" . }}
  - name: shm
    mountPath: /dev/shm
  {{- end }}
  {{- with include "lmcache-kserve.backend.ask" (list . "volumeMounts") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Volumes of a sidecar that no other container has. Output: YAML list. */}}
{{- define "lmcache-kserve.multiprocess.volumes" -}}
{{- if include "lmcache-kserve.multiprocess.sidecar" . }}
- name: lmcache-tmp
  emptyDir: {}
{{- end }}
{{- end }}

{{/* The sidecar: an init container that stays, so that it is there before the engine and after it. Output: YAML list. */}}
{{- define "lmcache-kserve.multiprocess.initContainers" -}}
{{- if include "lmcache-kserve.multiprocess.sidecar" . }}
- {{- include "lmcache-kserve.multiprocess.container" . | nindent 2 }}
  restartPolicy: Always
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.multiprocess" -}}
{{- if include "lmcache-kserve.multiprocess" . }}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- $at := "lmcache.multiprocess" -}}
{{- if and (include "lmcache-kserve.multiprocess.sidecar" .) (include "lmcache-kserve.predictor.knative" .) }}
{{ $at }}.placement: sidecar works in Standard mode only, because Knative refuses init containers; use daemonset
{{- end }}
{{- if .Values.lmcache.config }}
lmcache.config: is the configuration of mode in-process; use {{ $at }}.extraArgs, the arguments of `lmcache server`
{{- end }}
{{- if .Values.lmcache.localDisk.enabled }}
lmcache.localDisk.enabled: works with lmcache.mode in-process only
{{- end }}
{{- if .Values.lmcache.adaptersByTag }}
lmcache.adaptersByTag: works with lmcache.mode in-process only; serve each adapter merged into its model
{{- end }}
{{- if ne .Values.lmcache.serde "naive" }}
lmcache.serde: {{ .Values.lmcache.serde }} works with lmcache.mode in-process only; use naive
{{- end }}
{{- if and (or $mode.image.tag $mode.image.digest) (not $mode.image.repository) }}
{{ $at }}.image.repository: is required when its tag or digest is set
{{- end }}
{{- if and $mode.image.repository (not (or $mode.image.tag $mode.image.digest)) }}
{{ $at }}.image.tag: is required with {{ $at }}.image.repository, unless digest is set
{{- end }}
{{- $taken := dict (toString (int .Values.runtime.port)) "runtime.port" -}}
{{- if include "lmcache-kserve.multiprocess.daemonset" . }}{{ $taken = dict }}{{ end -}}
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
{{ $at }}.mqTimeoutSeconds: {{ int $mode.mqTimeoutSeconds }} must be more than twice {{ $at }}.heartbeatSeconds, {{ int $mode.heartbeatSeconds }}: a dead server is noticed by its missing answers to pings first
{{- end }}
{{- if and (eq $mode.transferMode "lmcache_driven") (eq (int .Values.predictor.gpu.count) 0) }}
{{ $at }}.transferMode: lmcache_driven reads GPU memory, but predictor.gpu.count is 0; use engine_driven
{{- end }}
{{- if include "lmcache-kserve.multiprocess.sharesGpu" . }}
{{- if not (hasPrefix "nvidia.com/" .Values.predictor.gpu.resourceName) }}
{{ $at }}.transferMode: a server reads the memory of NVIDIA's GPUs only, not of {{ .Values.predictor.gpu.resourceName }}; use engine_driven
{{- end }}
{{- if and (eq $mode.placement "daemonset") (kindIs "bool" $mode.isolatedIpc) (not $mode.isolatedIpc) (not $mode.hostSharedMemory) }}
{{ $at }}.isolatedIpc: false needs {{ $at }}.hostSharedMemory with placement daemonset: different pods share no memory
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
      "--max-workers" "lmcache.multiprocess.workers" "--isolated-ipc" "lmcache.multiprocess.isolatedIpc") $option }}
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
{{- if and (include "lmcache-kserve.backend.known" .) (ne .Values.remoteBackend.type "none") (not (include "lmcache-kserve.backend.ask" (list . "l2Adapter"))) }}
remoteBackend.type: {{ .Values.remoteBackend.type }} has no adapter in lmcache.mode multiprocess; use redis, valkey, redis-sentinel, filesystem or s3, or lmcache.mode in-process
{{- end }}
{{- end }}
{{- end }}
