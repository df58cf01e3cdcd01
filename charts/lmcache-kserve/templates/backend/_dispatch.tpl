{{/*
Remote backends. Each type has a folder here whose partial defines `lmcache-kserve.backend.<type>.<question>` for every
question below; everything else asks through this file and knows no type. A new backend is its folder, its values (the
type in camel case, below remoteBackend), the schema's enum and a values file.

  deployed           "true" when the chart deploys it
  endpoint           host:port to wait for, or nothing
  ports              JSON list of the ports that the predictor reaches and that the backend's policy opens: numbers, or
                     ranges such as "15000-15999"
  credentials        "true" when the connection needs a password, which makes the launcher wrap the server
  config             YAML dict, its part of LMCache's configuration (remote_url only when there are no credentials)
  module             file without .py of LMCache's connector that the chart brings for it, or nothing
  env                YAML list of environment variables of the predictor in mode in-process
  volumes            YAML list of volumes of that pod
  volumeMounts       YAML list of their mounts in the container that reaches the backend
  l2Adapter          JSON dict of `lmcache server --l2-adapter` without secrets, or nothing where mode multiprocess has none
  l2Env              YAML list of environment variables of that server, its credentials among them
  secretChecksum     checksum of the password that the chart keeps, or nothing
  generatedPassword  name of the Secret whose password the chart generates, or nothing
  problems           lines "<value>: <what is wrong>", for validation
  notes              commands that show what it holds, for NOTES.txt
*/}}

{{/* Key of a type's values below remoteBackend: lmcacheServer. Input: the type, lmcache-server. */}}
{{- define "lmcache-kserve.backend.valuesKey" -}}
{{- $words := splitList "-" . -}}
{{- $key := first $words -}}
{{- range rest $words }}{{ $key = printf "%s%s" $key (title .) }}{{ end -}}
{{- $key -}}
{{- end }}

{{/* Whether the type is one that the chart has; the schema usually says so first. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.known" -}}
{{- $type := .Values.remoteBackend.type -}}
{{- if or (eq $type "none") (kindIs "map" (get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" $type))) }}true{{ end -}}
{{- end }}

{{/* Input: dict "context" $ "question" "endpoint". */}}
{{- define "lmcache-kserve.backend.ask" -}}
{{- if include "lmcache-kserve.backend.known" .context -}}
{{- include (printf "lmcache-kserve.backend.%s.%s" .context.Values.remoteBackend.type .question) .context -}}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.backend.deployed" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "deployed") -}}
{{- end }}

{{- define "lmcache-kserve.backend.endpoint" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "endpoint") -}}
{{- end }}

{{- define "lmcache-kserve.backend.ports" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "ports") -}}
{{- end }}

{{- define "lmcache-kserve.backend.credentials" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "credentials") -}}
{{- end }}

{{- define "lmcache-kserve.backend.config" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "config") -}}
{{- end }}

{{- define "lmcache-kserve.backend.module" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "module") -}}
{{- end }}

{{- define "lmcache-kserve.backend.env" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "env") -}}
{{- end }}

{{- define "lmcache-kserve.backend.volumes" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "volumes") -}}
{{- end }}

{{- define "lmcache-kserve.backend.volumeMounts" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "volumeMounts") -}}
{{- end }}

{{- define "lmcache-kserve.backend.l2Adapter" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "l2Adapter") -}}
{{- end }}

{{- define "lmcache-kserve.backend.l2Env" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "l2Env") -}}
{{- end }}

{{- define "lmcache-kserve.backend.secretChecksum" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "secretChecksum") -}}
{{- end }}

{{- define "lmcache-kserve.backend.generatedPassword" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "generatedPassword") -}}
{{- end }}

{{- define "lmcache-kserve.backend.problems" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "problems") -}}
{{- end }}

{{- define "lmcache-kserve.backend.notes" -}}
{{- include "lmcache-kserve.backend.ask" (dict "context" . "question" "notes") -}}
{{- end }}
