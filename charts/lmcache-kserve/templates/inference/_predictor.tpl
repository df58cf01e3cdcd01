{{/*
The parts of the predictor's pod. KServe's controller merges two halves. The ServingRuntime says how the server runs: image,
command, port, probes, shared memory. The InferenceService says what the server serves and with which cache: arguments,
environment, resources, further volumes. Arguments of the runtime come first. Everything else merges by key, and the
InferenceService wins.
*/}}

{{/* Whether KServe runs the predictor through Knative, which refuses some fields of a pod. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.predictor.knative" -}}
{{- if eq .Values.kserve.deploymentMode "Knative" }}true{{ end -}}
{{- end }}

{{/* Deployment mode as the cluster's KServe spells it. */}}
{{- define "lmcache-kserve.predictor.deploymentMode" -}}
{{- $names := ternary (list "Knative" "Standard") (list "Serverless" "RawDeployment")
      (eq "true" (include "lmcache-kserve.versions.has" (list . "kserve" "standardMode"))) -}}
{{- if include "lmcache-kserve.predictor.knative" . }}{{ first $names }}{{ else }}{{ last $names }}{{ end -}}
{{- end }}

{{/* Whether KServe loads the model into /mnt/models. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.predictor.fromStorage" -}}
{{- if or .Values.model.storageUri (dig "storage" "path" "" .Values.model) }}true{{ end -}}
{{- end }}

{{/* Most replicas that may run. */}}
{{- define "lmcache-kserve.predictor.maxReplicas" -}}
{{- with .Values.predictor -}}
{{- ternary .autoscaling.maxReplicas .replicas .autoscaling.enabled | int -}}
{{- end -}}
{{- end }}

{{/* Whether the predictor itself needs the backend's password. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.predictor.credentials" -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . }}{{ include "lmcache-kserve.backend.ask" (list . "credentials") }}{{ end -}}
{{- end }}

{{/* Whether files/launcher.py starts the server: it hides passwords, and lets vLLM import the connector. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.predictor.launched" -}}
{{- if .Values.lmcache.enabled }}true{{ end -}}
{{- end }}

{{/* The server's command, with the launcher in front where the server needs the launcher. Output: JSON list. */}}
{{- define "lmcache-kserve.predictor.command" -}}
{{- $module := ternary "huggingfaceserver" "vllm.entrypoints.openai.api_server" (eq .Values.runtime.server "huggingfaceserver") -}}
{{- $command := default (list "python3" "-m" $module) .Values.runtime.command -}}
{{- if include "lmcache-kserve.predictor.launched" . -}}
  {{- $command = concat (list "python3" (printf "%s/launcher.py" (include "lmcache-kserve.scripts.path" .)) "--") $command -}}
{{- end -}}
{{- toJson $command -}}
{{- end }}

{{/* Arguments that say where the server listens and what it serves; part of the ServingRuntime. Output: JSON list. */}}
{{- define "lmcache-kserve.predictor.serverArgs" -}}
{{- $model := .Values.model -}}
{{- $port := int .Values.runtime.port -}}
{{- $stored := include "lmcache-kserve.predictor.fromStorage" . | eq "true" -}}
{{- $args := list -}}
{{- if eq .Values.runtime.server "huggingfaceserver" -}}
  {{- $source := ternary "--model_dir=/mnt/models" (printf "--model_id=%s" $model.id) $stored -}}
  {{- $args = list (printf "--http_port=%d" $port) (printf "--model_name=%s" $model.name) $source -}}
{{- else -}}
  {{- $names := list (printf "--served-model-name=%s" $model.name) -}}
  {{- /* Several names are words of their own behind the option. */ -}}
  {{- with $model.aliases }}{{ $names = concat (list "--served-model-name" $model.name) . }}{{ end -}}
  {{- $source := ternary "/mnt/models" $model.id $stored -}}
  {{- $args = concat (list (printf "--port=%d" $port)) $names (list (printf "--model=%s" $source)) -}}
{{- end -}}
{{- toJson $args -}}
{{- end }}

{{/* Arguments that say how the server serves; part of the InferenceService. Output: JSON list. */}}
{{- define "lmcache-kserve.predictor.modelArgs" -}}
{{- $args := list -}}
{{- with .Values.model.maxModelLen -}}
  {{- $args = append $args (printf "--max-model-len=%d" (int .)) -}}
{{- end -}}
{{- /* huggingfaceserver sets the size itself, to the number of GPUs. The argument tells readers and the harness so. */ -}}
{{- $size := include "lmcache-kserve.workers.tensorParallelSize" . | int -}}
{{- if gt $size 1 -}}
  {{- $args = append $args (printf "--tensor-parallel-size=%d" $size) -}}
{{- end -}}
{{- if kindIs "bool" .Values.runtime.prefixCaching -}}
  {{- $args = append $args (ternary "--enable-prefix-caching" "--no-enable-prefix-caching" .Values.runtime.prefixCaching) -}}
{{- end -}}
{{- if .Values.lmcache.enabled -}}
  {{- $args = concat $args (list "--kv-transfer-config" (include "lmcache-kserve.lmcache.kvTransferConfig" .)) -}}
{{- end -}}
{{- toJson (concat $args .Values.model.extraArgs) -}}
{{- end }}

{{/* Environment that the server needs apart from LMCache. Output: YAML list. */}}
{{- define "lmcache-kserve.predictor.serverEnv" -}}
{{- $home := .Values.runtime.home.path -}}
# Every cache goes to a folder that any user id can write to. getpass gets a name that does not need a passwd entry.
- name: HOME
  value: {{ $home | quote }}
- name: USER
  value: lmcache-kserve
- name: LOGNAME
  value: lmcache-kserve
- name: HF_HOME
  value: {{ printf "%s/huggingface" $home | quote }}
- name: XDG_CACHE_HOME
  value: {{ printf "%s/.cache" $home | quote }}
- name: TRITON_CACHE_DIR
  value: {{ printf "%s/.triton" $home | quote }}
- name: TORCHINDUCTOR_CACHE_DIR
  value: {{ printf "%s/.cache/torchinductor" $home | quote }}
- name: VLLM_CONFIG_ROOT
  value: {{ printf "%s/.config/vllm" $home | quote }}
# Replicas find each other's chunks only with the same seed. Another model has another seed.
- name: PYTHONHASHSEED
  value: {{ include "lmcache-kserve.identity.seed" . | quote }}
{{- if include "lmcache-kserve.huggingFace.secretName" . }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "lmcache-kserve.huggingFace.secretName" . | quote }}
      key: {{ include "lmcache-kserve.huggingFace.secretKey" . | quote }}
{{- end }}
{{- end }}

{{/* The whole environment of the server's container. Output: JSON list. */}}
{{- define "lmcache-kserve.predictor.env" -}}
{{- $lists := list
      (include "lmcache-kserve.predictor.serverEnv" . | fromYamlArray)
      (include "lmcache-kserve.lmcache.env" . | fromYamlArray) -}}
{{- if include "lmcache-kserve.lmcache.inProcess" . -}}
  {{- $lists = append $lists (include "lmcache-kserve.backend.ask" (list . "env") | fromYamlArray) -}}
{{- end -}}
{{- if include "lmcache-kserve.predictor.credentials" . -}}
  {{- $redacted := list "REMOTE_BACKEND_PASSWORD" -}}
  {{- if include "lmcache-kserve.huggingFace.secretName" . }}{{ $redacted = append $redacted "HF_TOKEN" }}{{ end -}}
  {{- if include "lmcache-kserve.predictor.apiKey" . }}{{ $redacted = append $redacted "VLLM_API_KEY" }}{{ end -}}
  {{- $lists = append $lists (list (dict "name" "LAUNCHER_REDACT" "value" (join "," $redacted))) -}}
{{- end -}}
{{- include "lmcache-kserve.mergeEnv" (append $lists .Values.predictor.env) -}}
{{- end }}

{{/* Port that huggingfaceserver takes for gRPC: its own, or the user's --grpc_port. Output: number or nothing. */}}
{{- define "lmcache-kserve.predictor.grpcPort" -}}
{{- if eq .Values.runtime.server "huggingfaceserver" -}}
{{- $port := "8081" -}}
{{- range .Values.model.extraArgs -}}
  {{- with regexFind "^--grpc[_-]port=[0-9]+$" . }}{{ $port = splitList "=" . | last }}{{ end -}}
{{- end -}}
{{- $port -}}
{{- end -}}
{{- end }}

{{/* Ports of the server's container. Output: JSON list. */}}
{{- define "lmcache-kserve.predictor.ports" -}}
{{- /* http1 is the name that Knative and Istio read the protocol from. */ -}}
{{- $own := list (dict "name" "http1" "containerPort" (int .Values.runtime.port) "protocol" "TCP") -}}
{{- include "lmcache-kserve.mergeLists" (dict "keys" (list "containerPort" "protocol") "base" $own "override" .Values.predictor.ports) -}}
{{- end }}

{{/* Size of /dev/shm: the engine's part, and what LMCache's server shares. */}}
{{- define "lmcache-kserve.predictor.sharedMemorySize" -}}
{{- $size := .Values.runtime.shm.sizeLimit -}}
{{- if include "lmcache-kserve.multiprocess.sharesMemory" . -}}
{{- $shared := include "lmcache-kserve.number" .Values.lmcache.multiprocess.l1.sizeGB | float64 | mulf 1073741824.0 | ceil | int64 -}}
{{ include "lmcache-kserve.bytes" $size | int64 | add $shared }}
{{- else -}}
{{ include "lmcache-kserve.string" $size }}
{{- end -}}
{{- end }}

{{/* The volume at /dev/shm. Output: YAML list. */}}
{{- define "lmcache-kserve.predictor.sharedMemory" -}}
- name: shm
  {{- if include "lmcache-kserve.multiprocess.hostSharedMemory" . }}
  hostPath:
    path: /dev/shm
    type: Directory
  {{- else }}
  emptyDir:
    medium: Memory
    sizeLimit: {{ include "lmcache-kserve.predictor.sharedMemorySize" . | quote }}
  {{- end }}
{{- end }}

{{/* Volumes that the server needs whatever it serves; part of the ServingRuntime. Output: YAML list. */}}
{{- define "lmcache-kserve.predictor.serverVolumes" -}}
{{ include "lmcache-kserve.predictor.sharedMemory" . }}
- name: home
  {{- if .Values.runtime.home.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.runtime.home.existingClaim | quote }}
  {{- else if .Values.runtime.home.sizeLimit }}
  emptyDir:
    sizeLimit: {{ include "lmcache-kserve.string" .Values.runtime.home.sizeLimit | quote }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}

{{/* Mounts of these volumes. Output: YAML list. */}}
{{- define "lmcache-kserve.predictor.serverVolumeMounts" -}}
- name: shm
  mountPath: /dev/shm
- name: home
  mountPath: {{ .Values.runtime.home.path | quote }}
{{- end }}

{{/* Volumes of this model and this cache, and the user's; part of the InferenceService. Output: JSON list. */}}
{{- define "lmcache-kserve.predictor.volumes" -}}
{{- $own := concat
      (include "lmcache-kserve.lmcache.volumes" . | fromYamlArray)
      (include "lmcache-kserve.scripts.volumes" . | fromYamlArray)
      (include "lmcache-kserve.multiprocess.volumes" . | fromYamlArray) -}}
{{- /* A DaemonSet reaches the backend in the predictor's place. */ -}}
{{- if not (include "lmcache-kserve.multiprocess.daemonset" .) -}}
  {{- $own = concat $own (include "lmcache-kserve.backend.ask" (list . "volumes") | fromYamlArray) -}}
{{- end -}}
{{- $volumes := include "lmcache-kserve.mergeLists" (dict "keys" (list "name") "base" $own "override" .Values.predictor.volumes) -}}
{{- fromJsonArray $volumes | include "lmcache-kserve.quantities" -}}
{{- end }}

{{/* Mounts of these volumes in the server's container. Output: JSON list. */}}
{{- define "lmcache-kserve.predictor.volumeMounts" -}}
{{- $own := concat
      (include "lmcache-kserve.lmcache.volumeMounts" . | fromYamlArray)
      (include "lmcache-kserve.scripts.volumeMounts" . | fromYamlArray) -}}
{{- if not (include "lmcache-kserve.multiprocess" .) -}}
  {{- $own = concat $own (include "lmcache-kserve.backend.ask" (list . "volumeMounts") | fromYamlArray) -}}
{{- end -}}
{{- include "lmcache-kserve.mergeLists" (dict "keys" (list "mountPath") "base" $own "override" .Values.predictor.volumeMounts) -}}
{{- end }}

{{/* Whether the GPUs come from resource claims (DRA), and no device plugin counts them. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.predictor.claimsGpus" -}}
{{- with .Values.predictor.gpu }}{{ if and (gt (int .count) 0) (not .resourceName) }}true{{ end }}{{ end -}}
{{- end }}

{{/* DNS policy of the pods. On the node's network, Kubernetes' default resolves no Services. Output: policy or nothing. */}}
{{- define "lmcache-kserve.predictor.dnsPolicy" -}}
{{- with .Values.predictor -}}
{{- default (ternary "ClusterFirstWithHostNet" "" .hostNetwork) .dnsPolicy -}}
{{- end -}}
{{- end }}

{{/*
Seconds that a request may take. KServe's own default of 60 would cut off long answers. Knative refuses more than 600 unless its
administrator raises max-revision-timeout-seconds.
*/}}
{{- define "lmcache-kserve.predictor.timeout" -}}
{{- default (ternary 600 3600 (eq "true" (include "lmcache-kserve.predictor.knative" .))) .Values.predictor.timeout | int -}}
{{- end }}

{{/* Resources of the server's container: the user's, the GPUs, and a disk tier on the node. Output: JSON. */}}
{{- define "lmcache-kserve.predictor.resources" -}}
{{- $requests := deepCopy .Values.predictor.resources.requests -}}
{{- $limits := deepCopy .Values.predictor.resources.limits -}}
{{- with .Values.predictor.gpu -}}
  {{- if and (gt (int .count) 0) .resourceName -}}
    {{- $_ := set $requests .resourceName (int .count) -}}
    {{- $_ := set $limits .resourceName (int .count) -}}
  {{- end -}}
{{- end -}}
{{- $disk := include "lmcache-kserve.lmcache.ephemeralStorage" . -}}
{{- if and $disk (include "lmcache-kserve.lmcache.inProcess" .) (not (hasKey $requests "ephemeral-storage")) -}}
  {{- $_ := set $requests "ephemeral-storage" $disk -}}
{{- end -}}
{{- $resources := dict -}}
{{- if $requests }}{{ $_ := set $resources "requests" $requests }}{{ end -}}
{{- if $limits }}{{ $_ := set $resources "limits" $limits }}{{ end -}}
{{- with .Values.predictor.resources.claims }}{{ $_ := set $resources "claims" . }}{{ end -}}
{{- include "lmcache-kserve.quantities" $resources -}}
{{- end }}

{{/*
A probe of the server: the user's fields, and the server's own question unless the user gives another question.
Input: dict "context" $ "probe" dict "path" "/...". Output: JSON.
*/}}
{{- define "lmcache-kserve.predictor.probe" -}}
{{- $probe := deepCopy .probe -}}
{{- if not (or $probe.httpGet $probe.tcpSocket $probe.exec $probe.grpc) -}}
  {{- $_ := set $probe "httpGet" (dict "path" .path "port" (int .context.Values.runtime.port)) -}}
{{- end -}}
{{- toJson $probe -}}
{{- end }}

{{/*
Route that answers once the model is loaded: for the probes and `helm test`. vLLM listens only after it has loaded the model, and
an API key never closes /health. Schema and rules admit only names that need no escaping here.
*/}}
{{- define "lmcache-kserve.predictor.modelPath" -}}
{{- if eq .Values.runtime.server "huggingfaceserver" -}}
/v1/models/{{ .Values.model.name }}
{{- else -}}
/health
{{- end -}}
{{- end }}

{{/* Route that answers while the engine lives. KServe's /v2/health/live is a constant; its route of the model asks the engine. */}}
{{- define "lmcache-kserve.predictor.healthPath" -}}
{{- include "lmcache-kserve.predictor.modelPath" . -}}
{{- end }}

{{/* First part of the server's OpenAI routes. vLLM serves them with and without its --root-path. */}}
{{- define "lmcache-kserve.predictor.openaiPath" -}}
{{- $prefix := "" -}}
{{- if eq .Values.runtime.server "huggingfaceserver" -}}
  {{- $prefix = "/openai" -}}
  {{- range .Values.predictor.env -}}
    {{- if eq .name "KSERVE_OPENAI_ROUTE_PREFIX" }}{{ $prefix = printf "/%s" (trimAll "/" (toString .value)) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- printf "%s/v1" (trimSuffix "/" $prefix) -}}
{{- end }}

{{/*
The server's API key, for whoever sends requests to the server: `helm test`, the notes, the launcher that masks the key.
Output: JSON of the variable in predictor.env, or nothing. A whole Secret in envFrom may hold a key too.
*/}}
{{- define "lmcache-kserve.predictor.apiKey" -}}
{{- $key := dict -}}
{{- if eq .Values.runtime.server "vllm" -}}
  {{- range .Values.predictor.env }}{{ if eq .name "VLLM_API_KEY" }}{{ $key = . }}{{ end }}{{ end -}}
{{- end -}}
{{- with $key }}{{ toJson . }}{{ end -}}
{{- end }}

{{/*
Annotations of the predictor's pods. A checksum restarts the replicas when a file changes, because neither LMCache nor the
launcher reads its files again.
Output: JSON dict.
*/}}
{{- define "lmcache-kserve.predictor.podAnnotations" -}}
{{- $own := dict -}}
{{- if include "lmcache-kserve.lmcache.configMap" . -}}
  {{- $_ := set $own "checksum/lmcache-config" (include "lmcache-kserve.lmcache.config" . | sha256sum) -}}
{{- end -}}
{{- with include "lmcache-kserve.scripts.data" . -}}
  {{- $_ := set $own "checksum/scripts" (sha256sum .) -}}
{{- end -}}
{{- if not (include "lmcache-kserve.multiprocess.daemonset" .) -}}
{{- with include "lmcache-kserve.backend.ask" (list . "secretChecksum") -}}
  {{- $_ := set $own "checksum/remote-backend-password" . -}}
{{- end -}}
{{- end -}}
{{- with .Values.huggingFace.token -}}
  {{- $_ := set $own "checksum/hugging-face-token" (sha256sum .) -}}
{{- end -}}
{{- $own = merge $own (include "lmcache-kserve.huggingFace.storageAnnotations" . | fromJson) -}}
{{- merge (dict) .Values.predictor.podAnnotations $own | toJson -}}
{{- end }}

{{/*
Labels with which KServe marks the predictor's pods, for selectors. The chart never puts both on an object of its own, because
KServe deletes Deployments and Services that carry both and that KServe did not make.
*/}}
{{- define "lmcache-kserve.predictor.podSelector" -}}
serving.kserve.io/inferenceservice: {{ include "lmcache-kserve.fullname" . | quote }}
component: predictor
{{- end }}
