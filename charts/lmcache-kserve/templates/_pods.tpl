{{/*
What pods of every kind have in common.
*/}}

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
