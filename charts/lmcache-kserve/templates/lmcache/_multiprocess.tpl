{{/*
Mode multiprocess: `lmcache server` and vLLM's connector to that server. The server is a sidecar of each replica or a pod on
each node. files/mp_server.py runs the server.
*/}}

{{/* Whether LMCache runs in a server of its own. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess" -}}
{{- if and .Values.lmcache.enabled (eq .Values.lmcache.mode "multiprocess") }}true{{ end -}}
{{- end }}

{{/* Whether that server is a sidecar. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.sidecar" -}}
{{- if and (include "lmcache-kserve.multiprocess" .) (eq .Values.lmcache.multiprocess.placement "sidecar") }}true{{ end -}}
{{- end }}

{{/* Whether that server is a DaemonSet. Output: "true" or nothing. */}}
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

{{/* Whether engine and server share GPU memory without a common IPC namespace. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.isolatedIpc" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- if include "lmcache-kserve.multiprocess.sharesGpu" . -}}
{{- if kindIs "bool" $mode.isolatedIpc | ternary $mode.isolatedIpc (and (eq $mode.placement "daemonset") (not $mode.hostSharedMemory)) }}true{{ end -}}
{{- end -}}
{{- end }}

{{/* Whether an engine without GPUs copies its chunks from and to the server's memory. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.sharesMemory" -}}
{{- if and (include "lmcache-kserve.multiprocess.sidecar" .) .Values.lmcache.multiprocess.l1.shared }}true{{ end -}}
{{- end }}

{{/* Scripts of this mode besides those that it always has. Output: their names without .py, with spaces between them. */}}
{{- define "lmcache-kserve.multiprocess.further" -}}
{{- $shared := eq "true" (include "lmcache-kserve.multiprocess.sharesMemory" .) -}}
{{- $tenants := eq "true" (include "lmcache-kserve.tenants" .) -}}
{{- if $shared }}shared_mp_server {{ end -}}
{{- if or $shared $tenants }}checked_mp_connector {{ end -}}
{{- if $tenants }}shared_mp_connector salts {{ end -}}
{{- if include "lmcache-kserve.tenants.divided" . }}tenant_mp_server{{ end -}}
{{- end }}

{{/* Whether the node's /dev/shm takes the place of the pod's. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.multiprocess.hostSharedMemory" -}}
{{- if and (include "lmcache-kserve.multiprocess.daemonset" .) .Values.lmcache.multiprocess.hostSharedMemory }}true{{ end -}}
{{- end }}

{{/*
Value of `--kv-transfer-config`. The connector is one of files/*_mp_connector.py around LMCache's own; checked_mp_connector.py has
the class CheckedLMCacheMPConnector. Output: YAML dict.
*/}}
{{- define "lmcache-kserve.lmcache.multiprocess.kvTransferConfig" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
{{- $module := include "lmcache-kserve.scripts.connector" . -}}
kv_connector: {{ trimSuffix "_mp_connector" $module | title }}LMCacheMPConnector
kv_connector_module_path: {{ $module }}
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
      (printf "--eviction-policy=%s" (ternary "noop" $mode.l1.evictionPolicy (eq "true" (include "lmcache-kserve.tenants.divided" .))))
      (printf "--supported-transfer-mode=%s" $mode.transferMode)
      (printf "--max-workers=%d" (default (include "lmcache-kserve.workers" . | int) $mode.workers | int)) -}}
{{- if include "lmcache-kserve.multiprocess.isolatedIpc" . }}{{ $args = append $args "--isolated-ipc" }}{{ end -}}
{{- /* LMCache loads a chunk from the first adapter that has the chunk. */ -}}
{{- with include "lmcache-kserve.lmcache.disk.l2Adapter" . }}{{ $args = concat $args (list "--l2-adapter" .) }}{{ end -}}
{{- with include "lmcache-kserve.tenants.adapter" . }}{{ $args = concat $args (list "--l2-adapter" .) }}{{ end -}}
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
  {{- /* The server sees the engine's GPUs, but the scheduler counts no GPU for the server. */ -}}
  {{- $own = concat $own (list
        (dict "name" "NVIDIA_VISIBLE_DEVICES" "value" "all")
        (dict "name" "NVIDIA_DRIVER_CAPABILITIES" "value" "compute,utility")) -}}
{{- end -}}
{{- include "lmcache-kserve.mergeEnv" (list $own (include "lmcache-kserve.backend.ask" (list . "l2Env") | fromYamlArray) .Values.lmcache.multiprocess.env) -}}
{{- end }}

{{/*
Resources of the server: the user's, and a disk tier on the node. A sidecar that reads GPU memory uses the claims of the engine's
GPUs. Output: JSON dict.
*/}}
{{- define "lmcache-kserve.multiprocess.resources" -}}
{{- $resources := deepCopy .Values.lmcache.multiprocess.resources -}}
{{- $shares := and (include "lmcache-kserve.multiprocess.sidecar" .) (include "lmcache-kserve.multiprocess.sharesGpu" .) -}}
{{- if and $shares (include "lmcache-kserve.predictor.claimsGpus" .) (not $resources.claims) -}}
  {{- $_ := set $resources "claims" .Values.predictor.resources.claims -}}
{{- end -}}
{{- $disk := include "lmcache-kserve.lmcache.ephemeralStorage" . -}}
{{- if and $disk (not (dig "requests" "ephemeral-storage" "" $resources)) -}}
  {{- $_ := set $resources "requests" (merge (dict "ephemeral-storage" $disk) (default dict $resources.requests)) -}}
{{- end -}}
{{- include "lmcache-kserve.quantities" $resources -}}
{{- end }}

{{/* A probe of the server. It runs in the container, because the server's routes are on the loopback address only. */}}
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
The server's container, in either placement. A sidecar has no readiness probe, so that a replica goes on serving while its
server starts again. The container runs as the predictor's user, so that both may read the memory that they share.
Output: YAML dict.
*/}}
{{- define "lmcache-kserve.multiprocess.container" -}}
{{- $mode := .Values.lmcache.multiprocess -}}
name: lmcache-server
image: {{ include "lmcache-kserve.images.orPredictor" (dict "context" . "image" $mode.image) | quote }}
imagePullPolicy: {{ $mode.image.pullPolicy }}
command:
  - python3
  {{- $server := printf "%smp_server" (ternary "shared_" "" (eq "true" (include "lmcache-kserve.multiprocess.sharesMemory" .))) }}
  - {{ include "lmcache-kserve.scripts.path" . }}/{{ ternary "tenant_mp_server" $server (eq "true" (include "lmcache-kserve.tenants.divided" .)) }}.py
args:
  {{- if include "lmcache-kserve.tenants.divided" . }}
  - {{ $server }}
  {{- end }}
  # After a ping, an engine takes two intervals to notice a dead server.
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
{{- /* Importing PyTorch takes seconds, and many seconds on a busy node. */}}
startupProbe:
  {{- include "lmcache-kserve.multiprocess.check" . | nindent 2 }}
  periodSeconds: 3
  failureThreshold: 100
livenessProbe:
  {{- include "lmcache-kserve.multiprocess.check" . | nindent 2 }}
  periodSeconds: 20
  failureThreshold: 6
{{- with include "lmcache-kserve.multiprocess.resources" . | fromJson }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "lmcache-kserve.pods.securityContext" .Values.predictor.securityContext }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: scripts
    mountPath: {{ include "lmcache-kserve.scripts.path" . }}
    readOnly: true
  - name: lmcache-tmp
    mountPath: /tmp
  {{- if or (include "lmcache-kserve.multiprocess.sharesGpu" .) (include "lmcache-kserve.multiprocess.sharesMemory" .) }}
  - name: shm
    mountPath: /dev/shm
  {{- end }}
  {{- with include "lmcache-kserve.lmcache.disk.volumeMounts" . }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with include "lmcache-kserve.backend.ask" (list . "volumeMounts") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with include "lmcache-kserve.tenants.volumeMounts" . }}
  {{- . | trim | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Volumes of a sidecar that no other container has. Output: YAML list. */}}
{{- define "lmcache-kserve.multiprocess.volumes" -}}
{{- if include "lmcache-kserve.multiprocess.sidecar" . }}
- name: lmcache-tmp
  emptyDir: {}
{{- include "lmcache-kserve.lmcache.disk.volumes" . }}
{{- include "lmcache-kserve.tenants.volumes" . }}
{{- end }}
{{- end }}

{{/* The sidecar. It is an init container that stays: it starts before the engine and ends after the engine. Output: YAML list. */}}
{{- define "lmcache-kserve.multiprocess.initContainers" -}}
{{- if include "lmcache-kserve.multiprocess.sidecar" . }}
- {{- include "lmcache-kserve.multiprocess.container" . | nindent 2 }}
  restartPolicy: Always
{{- end }}
{{- end }}
