{{/*
Any other backend that LMCache knows: its URL or the settings of its connectors, as LMCache names them.
*/}}

{{- define "lmcache-kserve.backend.custom.answers" -}}
custom: [config, credentials, endpoint, env, ports, problems]
{{- end }}

{{- define "lmcache-kserve.backend.custom.endpoint" -}}
{{ .Values.remoteBackend.custom.waitFor }}
{{- end }}

{{- define "lmcache-kserve.backend.custom.ports" -}}
{{ toJson .Values.remoteBackend.custom.ports }}
{{- end }}

{{/* The launcher puts user and password into the URL, or where the settings ask for them. */}}
{{- define "lmcache-kserve.backend.custom.credentials" -}}
{{- if .Values.remoteBackend.custom.auth.existingSecret }}true{{ end -}}
{{- end }}

{{/* Whether the settings ask for credentials. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.custom.placed" -}}
{{- if regexMatch "%REMOTE_BACKEND_(USERNAME|PASSWORD)%" (get .Values.remoteBackend.custom.config "extra_config" | toJson) }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.custom.config" -}}
  {{- $values := .Values.remoteBackend.custom -}}
  {{- $own := dict "remote_serde" .Values.lmcache.serde -}}
  {{- if and $values.url (not (include "lmcache-kserve.backend.custom.credentials" .)) }}{{ $_ := set $own "remote_url" $values.url }}{{ end -}}
  {{- mergeOverwrite $own (deepCopy $values.config) | toYaml -}}
{{- end }}

{{- define "lmcache-kserve.backend.custom.env" -}}
{{- $values := .Values.remoteBackend.custom -}}
{{- if include "lmcache-kserve.backend.custom.credentials" . }}
{{- with $values.url }}
- name: REMOTE_BACKEND_URL
  value: {{ . | quote }}
{{- end }}
{{- with $values.auth.username }}
- name: REMOTE_BACKEND_USERNAME
  value: {{ . | quote }}
{{- end }}
- name: REMOTE_BACKEND_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $values.auth.existingSecret | quote }}
      key: {{ $values.auth.existingSecretKey | quote }}
{{- end }}
{{- with $values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
