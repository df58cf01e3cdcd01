{{/*
What pods of every kind have in common.
*/}}

{{/*
A security context without the fields that the user leaves out: null, or "", because a parent chart's null gets lost.
Input: dict. Output: YAML, or nothing where no field is left.
*/}}
{{- define "lmcache-kserve.pods.securityContext" -}}
{{- $kept := dict -}}
{{- range $field, $value := . -}}
  {{- if not (or (kindIs "invalid" $value) (eq "" (toString $value))) }}{{ $_ := set $kept $field $value }}{{ end -}}
{{- end -}}
{{- with $kept }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/*
Pod spec fields that the user chooses, without containers and volumes.
Input: dict "context" $ "values" dict.
*/}}
{{- define "lmcache-kserve.pods.fields" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .context.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with include "lmcache-kserve.pods.securityContext" .values.podSecurityContext }}
securityContext:
  {{- . | nindent 2 }}
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
