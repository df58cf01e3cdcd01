{{/*
What the pods, Services and policies of deployed backends have in common.
*/}}

{{/*
Pod spec fields that the user chooses, without containers and volumes.
Input: dict "context" $ "values" dict.
*/}}
{{- define "lmcache-kserve.workload.podFields" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .context.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- include "lmcache-kserve.stringMap" . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- tpl (toYaml .) $.context | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Metadata of a backend's pods.
Input: dict "context" $ "values" dict, optional "annotations" dict.
*/}}
{{- define "lmcache-kserve.workload.podMetadata" -}}
metadata:
  labels:
    {{- include "lmcache-kserve.labels" (dict "context" .context "component" "remote-backend" "extra" .values.podLabels) | nindent 4 }}
  {{- with merge (dict) .values.podAnnotations (default dict .annotations) .context.Values.commonAnnotations }}
  annotations:
    {{- include "lmcache-kserve.stringMap" . | nindent 4 }}
  {{- end }}
{{- end }}

{{/*
Ports of a NetworkPolicy's rule.
Input: list of numbers, and of ranges such as "15000-15999". Output: YAML list.
*/}}
{{- define "lmcache-kserve.workload.policyPorts" -}}
{{- range . }}
{{- $bounds := include "lmcache-kserve.string" . | splitList "-" }}
- port: {{ first $bounds | int }}
  {{- if gt (len $bounds) 1 }}
  endPort: {{ last $bounds | int }}
  {{- end }}
  protocol: TCP
{{- end }}
{{- end }}

{{/*
The policy of a deployed backend: only what caches for the release connects to it, and it connects to nothing.
Input: dict "context" $ "name" "...".
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
        - podSelector:
            matchLabels:
              {{- if include "lmcache-kserve.multiprocess.daemonset" .context }}
              {{- include "lmcache-kserve.labels.selector" (dict "context" .context "component" "cache-server") | nindent 14 }}
              {{- else }}
              {{- include "lmcache-kserve.predictor.podSelector" .context | nindent 14 }}
              {{- end }}
        {{- with .context.Values.networkPolicy.backend.ingressFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- include "lmcache-kserve.workload.policyPorts" (include "lmcache-kserve.backend.ask" (list .context "ports") | fromYamlArray) | nindent 8 }}
{{- end }}
