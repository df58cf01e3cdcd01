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

{{/* Whether KServe's storage initializer downloads from Hugging Face. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.huggingFace.downloadedByKServe" -}}
{{- if or (hasPrefix "hf://" .Values.model.storageUri) (contains `"hf://` (get .Values.predictor.extra "storageUris" | toJson)) }}true{{ end -}}
{{- end }}

{{/*
The annotations by which KServe's storage initializer, which downloads hf://, gets the token. KServe's manifests call the
annotation storageSecretName, and its Helm chart calls it secretName. KServe then reads the key HF_TOKEN of that Secret, and no
Secret of the ServiceAccount. A Secret that the user names in such an annotation stays.
Source: kserve v0.15.0 to v0.20.0, pkg/credentials/service_account_credentials.go and hf/hf_secret.go.
Output: JSON dict.
*/}}
{{- define "lmcache-kserve.huggingFace.storageAnnotations" -}}
{{- $annotations := dict -}}
{{- $secret := include "lmcache-kserve.huggingFace.secretName" . -}}
{{- $readable := eq "HF_TOKEN" (include "lmcache-kserve.huggingFace.secretKey" .) -}}
{{- if and $secret $readable (include "lmcache-kserve.huggingFace.downloadedByKServe" .) -}}
  {{- range list "serving.kserve.io/storageSecretName" "serving.kserve.io/secretName" -}}
    {{- if not (hasKey $.Values.kserve.annotations .) }}{{ $_ := set $annotations . $secret }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- toJson $annotations -}}
{{- end }}

{{/* Whether the user says in another way where the initializer finds a token. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.huggingFace.storageChosen" -}}
{{- $given := merge (dict) .Values.predictor.podAnnotations .Values.kserve.annotations -}}
{{- if or .Values.predictor.serviceAccountName (hasKey $given "serving.kserve.io/storageSecretName") (hasKey $given "serving.kserve.io/secretName") -}}
true
{{- end -}}
{{- end }}
