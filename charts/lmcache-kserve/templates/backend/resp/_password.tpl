{{/*
The password of a server that speaks Redis' protocol: the user's, or one that the chart makes and keeps.
*/}}

{{- define "lmcache-kserve.backend.resp.secretName" -}}
{{- default (include "lmcache-kserve.backend.name" .) (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth.existingSecret -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.secretKey" -}}
  {{- with (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth -}}
    {{- ternary .existingSecretKey "password" (ne .existingSecret "") -}}
  {{- end -}}
{{- end }}

{{/* Whether the chart keeps the password in a Secret of its own. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.ownSecret" -}}
  {{- with (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth -}}
    {{- if and .enabled (not .existingSecret) }}true{{ end -}}
  {{- end -}}
{{- end }}

{{/*
The password that the chart keeps: the user's, the one in the cluster, or a new one. The template remembers a password of its
own beside the values for the rest of the render, so that Secret and checksum agree.
*/}}
{{- define "lmcache-kserve.backend.resp.password" -}}
  {{- $auth := (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth -}}
  {{- if $auth.password -}}
    {{- $auth.password -}}
  {{- else -}}
    {{- if not $auth.generated -}}
      {{- $secret := lookup "v1" "Secret" .Release.Namespace (include "lmcache-kserve.backend.name" .) -}}
      {{- $existing := dig "data" "password" "" (default dict $secret) -}}
      {{- $_ := set $auth "generated" (default (randAlphaNum 32) (b64dec $existing)) -}}
    {{- end -}}
    {{- $auth.generated -}}
  {{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.generatedPassword" -}}
  {{- $auth := (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .)).auth -}}
  {{- if and (include "lmcache-kserve.backend.resp.ownSecret" .) (not $auth.password) }}{{ include "lmcache-kserve.backend.name" . }}{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.secretChecksum" -}}
  {{- if include "lmcache-kserve.backend.resp.ownSecret" . -}}
    {{- include "lmcache-kserve.backend.resp.password" . | sha256sum -}}
  {{- end -}}
{{- end }}
