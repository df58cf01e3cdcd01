{{/*
The Secret with the Hugging Face token: the user's, the chart's, or none.
*/}}

{{- define "lmcache-kserve.huggingFace.secretName" -}}
{{- if .Values.huggingFace.existingSecret -}}
  {{- .Values.huggingFace.existingSecret -}}
{{- else if .Values.huggingFace.token -}}
  {{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "hugging-face") -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.huggingFace.secretKey" -}}
{{- ternary .Values.huggingFace.existingSecretKey "HF_TOKEN" (ne .Values.huggingFace.existingSecret "") -}}
{{- end }}
