{{/*
Scripts that run in the release's pods: the launcher and the connectors, the wait for the backend, and LMCache's server of mode
multiprocess.
*/}}

{{/* Name of the ConfigMap that holds the scripts. */}}
{{- define "lmcache-kserve.scripts.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "scripts") -}}
{{- end }}

{{- define "lmcache-kserve.scripts.path" -}}
/etc/lmcache-kserve
{{- end }}

{{/* Where the predictor waits for an answer: at the backend, or at the node's cache server in front of the backend. Output: host:port or nothing. */}}
{{- define "lmcache-kserve.scripts.awaited" -}}
{{- if include "lmcache-kserve.multiprocess.daemonset" . -}}
{{ include "lmcache-kserve.multiprocess.host" . }}:{{ int .Values.lmcache.multiprocess.port }}
{{- else -}}
{{ include "lmcache-kserve.backend.ask" (list . "endpoint") }}
{{- end -}}
{{- end }}

{{/* Whether the predictor waits. Knative refuses init containers. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.scripts.waits" -}}
{{- if and (include "lmcache-kserve.scripts.awaited" .) (gt (int .Values.remoteBackend.waitSeconds) 0) (not (include "lmcache-kserve.predictor.knative" .)) -}}
true
{{- end -}}
{{- end }}

{{/* Whether the DaemonSet of mode multiprocess waits for the backend. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.scripts.serverWaits" -}}
{{- $endpoint := include "lmcache-kserve.backend.ask" (list . "endpoint") -}}
{{- if and (include "lmcache-kserve.multiprocess.daemonset" .) $endpoint (gt (int .Values.remoteBackend.waitSeconds) 0) -}}
true
{{- end -}}
{{- end }}

{{/* The chart's connector between vLLM and LMCache. Output: the file's name without .py. */}}
{{- define "lmcache-kserve.scripts.connector" -}}
{{- if include "lmcache-kserve.tenants" . -}}
tenant_mp_connector
{{- else if include "lmcache-kserve.multiprocess.sharesMemory" . -}}
shared_mp_connector
{{- else -}}
{{ ternary "checked_mp_connector" "checked_connector" (eq .Values.lmcache.mode "multiprocess") }}
{{- end -}}
{{- end }}

{{/* Data of the ConfigMap with the scripts. Output: YAML, or nothing when the release needs no script. */}}
{{- define "lmcache-kserve.scripts.data" -}}
{{- if include "lmcache-kserve.predictor.launched" . }}
launcher.py: |
  {{- .Files.Get "files/launcher.py" | nindent 2 }}
{{- end }}
{{- if .Values.lmcache.enabled }}
{{ include "lmcache-kserve.scripts.connector" . }}.py: |
  {{- .Files.Get (printf "files/%s.py" (include "lmcache-kserve.scripts.connector" .)) | nindent 2 }}
unproven.py: |
  {{- .Files.Get "files/unproven.py" | nindent 2 }}
unproven.yaml: |
  {{- .Files.Get "files/unproven.yaml" | nindent 2 }}
{{- end }}
{{- range include "lmcache-kserve.lmcache.backendModule" . | splitList " " | compact }}
{{ . }}.py: |
  {{- $.Files.Get (printf "files/%s.py" .) | nindent 2 }}
{{- end }}
{{- if include "lmcache-kserve.multiprocess" . }}
{{- range list "mp_server" "unwritten" }}
{{ . }}.py: |
  {{- $.Files.Get (printf "files/%s.py" .) | nindent 2 }}
{{- end }}
{{- end }}
{{- range include "lmcache-kserve.multiprocess.further" . | splitList " " | compact }}
{{ . }}.py: |
  {{- $.Files.Get (printf "files/%s.py" .) | nindent 2 }}
{{- end }}
{{- if include "lmcache-kserve.tenants.divided" . }}
quotas.json: |
  {{- include "lmcache-kserve.tenants.quotas" . | nindent 2 }}
{{- end }}
{{- if and (include "lmcache-kserve.multiprocess" .) (include "lmcache-kserve.lmcache.disk" .) }}
{{- range list "bounded_disk" "clean_filesystem" }}
{{ . }}.py: |
  {{- $.Files.Get (printf "files/%s.py" .) | nindent 2 }}
{{- end }}
{{- end }}
{{- if or (include "lmcache-kserve.scripts.waits" .) (include "lmcache-kserve.scripts.serverWaits" .) }}
wait_for_backend.py: |
  {{- .Files.Get "files/wait_for_backend.py" | nindent 2 }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.scripts.volumes" -}}
{{- if or (include "lmcache-kserve.predictor.launched" .) (include "lmcache-kserve.scripts.waits" .) (include "lmcache-kserve.multiprocess.sidecar" .) }}
- name: scripts
  configMap:
    name: {{ include "lmcache-kserve.scripts.name" . }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.scripts.volumeMounts" -}}
{{- if include "lmcache-kserve.predictor.launched" . }}
- name: scripts
  mountPath: {{ include "lmcache-kserve.scripts.path" . }}
  readOnly: true
{{- end }}
{{- end }}

{{/* The predictor's init container that waits. Output: YAML list. */}}
{{- define "lmcache-kserve.scripts.initContainers" -}}
{{- if include "lmcache-kserve.scripts.waits" . }}
{{- $name := ternary "wait-for-cache" "wait-for-backend" (eq (include "lmcache-kserve.multiprocess.daemonset" .) "true") }}
{{- include "lmcache-kserve.scripts.wait" (dict "context" . "name" $name "endpoint" (include "lmcache-kserve.scripts.awaited" .)) }}
{{- end }}
{{- end }}

{{/* The DaemonSet's init container that waits for the backend. Output: YAML list. */}}
{{- define "lmcache-kserve.scripts.waitForBackend" -}}
{{- if include "lmcache-kserve.scripts.serverWaits" . }}
{{- include "lmcache-kserve.scripts.wait" (dict "context" . "name" "wait-for-backend" "endpoint" (include "lmcache-kserve.backend.ask" (list . "endpoint"))) }}
{{- end }}
{{- end }}

{{/*
An init container that waits until something accepts connections.
Input: dict "context" $ "name" "..." "endpoint" "host:port". Output: YAML list.
*/}}
{{- define "lmcache-kserve.scripts.wait" -}}
- name: {{ .name }}
  image: {{ include "lmcache-kserve.images.predictor" .context | quote }}
  imagePullPolicy: {{ .context.Values.runtime.image.pullPolicy }}
  command:
    - python3
    - {{ include "lmcache-kserve.scripts.path" .context }}/wait_for_backend.py
  args:
    - {{ .endpoint | quote }}
    - {{ int .context.Values.remoteBackend.waitSeconds | quote }}
  {{- with .context.Values.remoteBackend.waitResources }}
  resources:
    {{- include "lmcache-kserve.quantities" . | fromJson | toYaml | nindent 4 }}
  {{- end }}
  {{- with include "lmcache-kserve.pods.securityContext" .context.Values.predictor.securityContext }}
  securityContext:
    {{- . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: scripts
      mountPath: {{ include "lmcache-kserve.scripts.path" .context }}
      readOnly: true
{{- end }}
