{{/*
What the pods and policies of deployed backends have in common.
*/}}

{{/*
The fields of `lmcache-kserve.pods.fields` for a backend's pods: what remoteBackend.pod says.
Input: dict "context" $ "podSecurityContext" dict, optional "affinity" dict for a user who chooses none.
*/}}
{{- define "lmcache-kserve.backend.podFields" -}}
  {{- $pod := pick .context.Values.remoteBackend.pod "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
  {{- $_ := set $pod "podSecurityContext" .podSecurityContext -}}
  {{- if not $pod.affinity }}{{ $_ := set $pod "affinity" .affinity }}{{ end -}}
  {{- include "lmcache-kserve.pods.fields" (dict "context" .context "values" $pod) -}}
{{- end }}

{{/*
Metadata of a backend's pods, with podLabels and podAnnotations of remoteBackend.pod.
Input: dict "context" $, optional "annotations" dict, "part" (which of several workloads) and "component" of another name.
*/}}
{{- define "lmcache-kserve.backend.podMetadata" -}}
{{- $pod := .context.Values.remoteBackend.pod -}}
{{- $labels := deepCopy $pod.podLabels -}}
{{- with .part }}{{ $_ := set $labels "lmcache-kserve/part" . }}{{ end -}}
metadata:
  labels:
    {{- include "lmcache-kserve.labels" (dict
          "context" .context
          "component" (default "remote-backend" .component)
          "extra" $labels) | nindent 4 }}
  {{- with merge (dict) $pod.podAnnotations (default dict .annotations) .context.Values.commonAnnotations }}
  annotations:
    {{- include "lmcache-kserve.stringMap" . | nindent 4 }}
  {{- end }}
{{- end }}

{{/*
Labels that select the pods of one workload, of a backend that has several.
Input: dict "context" $ "part" "store".
*/}}
{{- define "lmcache-kserve.backend.partSelector" -}}
{{ include "lmcache-kserve.labels.selector" (dict "context" .context "component" "remote-backend") }}
lmcache-kserve/part: {{ .part }}
{{- end }}

{{/*
The policy of a deployed backend: only what caches for the release connects to it, and it connects to nothing but the targets
that the user names.
Input: dict "context" $ "name" "...", optional "ingress" (YAML list of further rules).
*/}}
{{- define "lmcache-kserve.workload.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "lmcache-kserve.metadata" (dict "context" .context "name" .name "component" "remote-backend") }}
spec:
  podSelector:
    matchLabels:
      {{- include "lmcache-kserve.labels.selector" (dict "context" .context "component" "remote-backend") | nindent 6 }}
  # Egress without a rule: nothing may leave.
  policyTypes:
    - Ingress
    - Egress
  ingress:
    - from:
        {{- include "lmcache-kserve.networkPolicy.backendClients" .context | nindent 8 }}
      ports:
        {{- include "lmcache-kserve.networkPolicy.ports" (include "lmcache-kserve.backend.ask" (list .context "ports") | fromYamlArray) | nindent 8 }}
    {{- with .ingress }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "lmcache-kserve.networkPolicy.extra" (dict "context" .context "part" "backend" "direction" "extraIngress") }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- with include "lmcache-kserve.networkPolicy.extraTargets" (dict "context" .context "part" "backend") }}
  egress:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/*
The volume with certificate authorities, from the user's Secret or ConfigMap.
Input: dict "name" of the volume "tls" dict with caSecret, caConfigMap and caSecretKey, optional "path" (file name for the key).
Output: YAML list of one volume, or nothing.
*/}}
{{- define "lmcache-kserve.backend.caVolume" -}}
{{- if or .tls.caSecret .tls.caConfigMap }}
- name: {{ .name }}
  {{- if .tls.caConfigMap }}
  configMap:
    name: {{ .tls.caConfigMap | quote }}
  {{- else }}
  secret:
    secretName: {{ .tls.caSecret | quote }}
  {{- end }}
    {{- with .path }}
    items:
      - key: {{ $.tls.caSecretKey | quote }}
        path: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{/*
Rules for certificate authorities. Input: dict "path" "remoteBackend.redis.external.tls" "tls" dict. Output: problems.
*/}}
{{- define "lmcache-kserve.backend.caProblems" -}}
{{- if and .tls.caSecret .tls.caConfigMap }}
{{ .path }}.caConfigMap: excludes {{ .path }}.caSecret; keep one of the two
{{- end }}
{{- range $key := list "caSecret" "caConfigMap" "clientSecret" }}
{{- if and (get $.tls $key) (not $.tls.enabled) }}
{{ $.path }}.{{ $key }}: is not used while {{ $.path }}.enabled is false
{{- end }}
{{- end }}
{{- end }}
