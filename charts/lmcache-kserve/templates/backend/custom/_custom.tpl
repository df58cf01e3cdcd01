{{/*
Any other backend that LMCache knows: its URL or the settings of its connectors, as LMCache names them.
*/}}

{{- define "lmcache-kserve.backend.custom.deployed" }}{{ end }}

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

{{/* Whether the settings ask for them. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.custom.placed" -}}
{{- if regexMatch "%REMOTE_BACKEND_(USERNAME|PASSWORD)%" (get .Values.remoteBackend.custom.config "extra_config" | toJson) }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.custom.config" -}}
{{- $values := .Values.remoteBackend.custom -}}
{{- $own := dict "remote_serde" .Values.lmcache.serde -}}
{{- if and $values.url (not (include "lmcache-kserve.backend.custom.credentials" .)) }}{{ $_ := set $own "remote_url" $values.url }}{{ end -}}
{{- mergeOverwrite $own (deepCopy $values.config) | toYaml -}}
{{- end }}

{{- define "lmcache-kserve.backend.custom.module" }}{{ end }}
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
      name: {{ $values.auth.existingSecret }}
      key: {{ $values.auth.existingSecretKey }}
{{- end }}
{{- with $values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.custom.volumes" }}{{ end }}
{{- define "lmcache-kserve.backend.custom.volumeMounts" }}{{ end }}
{{- define "lmcache-kserve.backend.custom.l2Adapter" }}{{ end }}
{{- define "lmcache-kserve.backend.custom.l2Env" }}{{ end }}
{{- define "lmcache-kserve.backend.custom.secretChecksum" }}{{ end }}
{{- define "lmcache-kserve.backend.custom.generatedPassword" }}{{ end }}

{{- define "lmcache-kserve.backend.custom.problems" -}}
{{- $values := .Values.remoteBackend.custom -}}
{{- if not (or $values.url $values.config.remote_storage_plugins $values.config.remote_url) }}
remoteBackend.custom.url: is required, or remoteBackend.custom.config with remote_storage_plugins
{{- end }}
{{- if and $values.url $values.config.remote_url }}
remoteBackend.custom.config.remote_url: is set through remoteBackend.custom.url
{{- end }}
{{- if regexMatch "://[^/@[:space:]]*@" $values.url }}
remoteBackend.custom.url: has a user or a password, which would stand in a ConfigMap; use remoteBackend.custom.auth
{{- end }}
{{- $placed := include "lmcache-kserve.backend.custom.placed" . }}
{{- if and $values.auth.existingSecret (not $values.url) (not $placed) }}
remoteBackend.custom.auth.existingSecret: has no place; set remoteBackend.custom.url, or a setting in config.extra_config to "%REMOTE_BACKEND_PASSWORD%"
{{- end }}
{{- if and $placed (not $values.auth.existingSecret) }}
remoteBackend.custom.auth.existingSecret: is required, because remoteBackend.custom.config asks for credentials
{{- end }}
{{- if and $values.auth.username (not $values.auth.existingSecret) }}
remoteBackend.custom.auth.username: is used with remoteBackend.custom.auth.existingSecret only
{{- end }}
{{- if regexMatch "://[^/@[:space:]]*:[^/@[:space:]]+@" (toJson $values.config) }}
remoteBackend.custom.config: has a URL with a password, which would stand in a ConfigMap; use remoteBackend.custom.auth or env
{{- end }}
{{- range $index, $variable := $values.env }}
{{- if kindIs "bool" $variable.value }}
remoteBackend.custom.env[{{ $index }}] ({{ $variable.name }}): its value is the Boolean {{ $variable.value }}; quote it
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.custom.notes" }}{{ end }}
