{{/*
The password of such a server: the user's, or one that the chart makes and keeps.
*/}}

{{- define "lmcache-kserve.resp.secretName" -}}
{{- default (include "lmcache-kserve.resp.name" .) (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.existingSecret -}}
{{- end }}

{{- define "lmcache-kserve.resp.secretKey" -}}
{{- with (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth -}}
{{- ternary .existingSecretKey "password" (ne .existingSecret "") -}}
{{- end -}}
{{- end }}

{{/* Whether the chart keeps the password in a Secret of its own. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.resp.ownSecret" -}}
{{- with (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth -}}
{{- if and .enabled (not .existingSecret) }}true{{ end -}}
{{- end -}}
{{- end }}

{{/*
The password that the chart keeps: the user's, the one in the cluster, or a new one. What is not the user's is remembered
beside the values for the rest of the render, so that Secret and checksum agree.
*/}}
{{- define "lmcache-kserve.resp.password" -}}
{{- $auth := (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth -}}
{{- if $auth.password -}}
  {{- $auth.password -}}
{{- else -}}
  {{- if not $auth.generated -}}
    {{- $secret := lookup "v1" "Secret" .context.Release.Namespace (include "lmcache-kserve.resp.name" .) -}}
    {{- $existing := dig "data" "password" "" (default dict $secret) -}}
    {{- $_ := set $auth "generated" (default (randAlphaNum 32) (b64dec $existing)) -}}
  {{- end -}}
  {{- $auth.generated -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.generatedPassword" -}}
{{- if and (include "lmcache-kserve.resp.ownSecret" .) (not (get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .type)).auth.password) -}}
{{- include "lmcache-kserve.resp.name" . -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.secretChecksum" -}}
{{- if include "lmcache-kserve.resp.ownSecret" . -}}
{{- include "lmcache-kserve.resp.password" . | sha256sum -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.resp.secret" -}}
apiVersion: v1
kind: Secret
{{ include "lmcache-kserve.metadata" (dict "context" .context "name" (include "lmcache-kserve.resp.name" .) "component" "remote-backend") }}
type: Opaque
data:
  password: {{ include "lmcache-kserve.resp.password" . | b64enc | quote }}
{{- end }}
