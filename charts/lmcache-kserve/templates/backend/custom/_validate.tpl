{{/*
What the schema cannot say about the values of remoteBackend.custom.
*/}}

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
{{- end }}
