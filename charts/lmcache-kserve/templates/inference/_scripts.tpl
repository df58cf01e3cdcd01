{{/*
Scripts that run in the predictor's pod: the launcher, when the backend has credentials, and the wait for the backend.
*/}}

{{- define "lmcache-kserve.scripts.path" -}}
/etc/lmcache-kserve
{{- end }}

{{/* Whether the pod waits for the backend. Knative refuses init containers. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.scripts.waits" -}}
{{- if and (include "lmcache-kserve.backend.endpoint" .) (gt (int .Values.remoteBackend.waitSeconds) 0) (not (include "lmcache-kserve.predictor.knative" .)) -}}
true
{{- end -}}
{{- end }}

{{/* Data of the ConfigMap with the scripts. Output: YAML, or nothing when none is needed. */}}
{{- define "lmcache-kserve.scripts.data" -}}
{{- if include "lmcache-kserve.backend.credentials" . }}
launcher.py: |
  {{- .Files.Get "files/launcher.py" | nindent 2 }}
{{- end }}
{{- if include "lmcache-kserve.scripts.waits" . }}
wait_for_backend.py: |
  {{- .Files.Get "files/wait_for_backend.py" | nindent 2 }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.scripts.volumes" -}}
{{- if include "lmcache-kserve.scripts.data" . }}
- name: scripts
  configMap:
    name: {{ include "lmcache-kserve.names.of" (dict "context" . "suffix" "scripts") }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.scripts.volumeMounts" -}}
{{- if include "lmcache-kserve.backend.credentials" . }}
- name: scripts
  mountPath: {{ include "lmcache-kserve.scripts.path" . }}
  readOnly: true
{{- end }}
{{- end }}

{{/* The init container that waits for the backend. Output: YAML list. */}}
{{- define "lmcache-kserve.scripts.initContainers" -}}
{{- if include "lmcache-kserve.scripts.waits" . }}
- name: wait-for-backend
  image: {{ include "lmcache-kserve.images.predictor" . }}
  imagePullPolicy: {{ .Values.runtime.image.pullPolicy }}
  command:
    - python3
    - {{ include "lmcache-kserve.scripts.path" . }}/wait_for_backend.py
  args:
    - {{ include "lmcache-kserve.backend.endpoint" . | quote }}
    - {{ int .Values.remoteBackend.waitSeconds | quote }}
  resources:
    requests:
      cpu: 10m
      memory: 32Mi
    limits:
      memory: 128Mi
  securityContext:
    {{- toYaml .Values.predictor.securityContext | nindent 4 }}
  volumeMounts:
    - name: scripts
      mountPath: {{ include "lmcache-kserve.scripts.path" . }}
      readOnly: true
{{- end }}
{{- end }}
