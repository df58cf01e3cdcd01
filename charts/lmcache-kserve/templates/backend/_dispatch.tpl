{{/*
Remote backends. Everything outside this folder asks through this file and knows no type.

A type's folder defines `lmcache-kserve.backend.<type>.answers`: a YAML dict of the questions that the type answers, by the
folder whose template `lmcache-kserve.backend.<folder>.<question>` answers them. A question that is not listed has no answer.
Every such template takes the root context. The questions:

  endpoint           host:port to wait for
  ports              YAML list of the ports that the predictor reaches and that the backend's policy opens: numbers, or ranges
                     such as "15000-15999"
  credentials        "true" when the connection needs a password, which makes the launcher wrap the server
  config             YAML dict, the backend's part of LMCache's configuration (remote_url only when there are no credentials)
  module             files without .py of LMCache's connector that the chart brings for the backend, separated by spaces
  env                YAML list of environment variables of the predictor in mode in-process
  volumes            YAML list of volumes of the pod that reaches the backend
  volumeMounts       YAML list of their mounts in the container that reaches the backend
  l2Adapter          JSON dict of `lmcache server --l2-adapter` without secrets; no answer: mode multiprocess cannot use the type
  l2Env              YAML list of environment variables of that server, its credentials among them
  l2Module           files without .py that the chart brings for that adapter, separated by spaces
  secretChecksum     checksum of the password that the chart keeps
  generatedPassword  name of the Secret whose password the chart generates
  metrics            JSON list of dicts: the name of a port that serves Prometheus metrics ("port"), and, where a type has several
                     workloads, which part's pods have it ("part")
  capacity           bytes of chunks that the backend's servers hold; no answer where nothing bounds them
  problems           lines "<value>: <what is wrong>", for validation
  notes              commands that show what the backend holds, for NOTES.txt
  warning            what a user of the backend has to know, for NOTES.txt

A new backend is a folder here, its values (the type in camel case, below remoteBackend), the schema's enum and a values file.
*/}}

{{/* Key of the chosen type's values below remoteBackend: lmcacheServer for lmcache-server. */}}
{{- define "lmcache-kserve.backend.valuesKey" -}}
  {{- $words := splitList "-" .Values.remoteBackend.type -}}
  {{- $key := first $words -}}
  {{- range rest $words }}{{ $key = printf "%s%s" $key (title .) }}{{ end -}}
  {{- $key -}}
{{- end }}

{{/* Whether the chart has the type; the schema usually says so first. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.known" -}}
  {{- $type := .Values.remoteBackend.type -}}
  {{- $key := include "lmcache-kserve.backend.valuesKey" . -}}
  {{- $values := get .Values.remoteBackend $key -}}
  {{- $common := has $key (list "pod" "exporter" "waitResources") -}}
  {{- if or (eq $type "none") (and (kindIs "map" $values) (not $common)) }}true{{ end -}}
{{- end }}

{{/*
The chosen type's answer to a question, or nothing.
Input: list of the root context and the question.
*/}}
{{- define "lmcache-kserve.backend.ask" -}}
  {{- $context := first . -}}
  {{- $question := last . -}}
  {{- $type := $context.Values.remoteBackend.type -}}
  {{- if and (ne $type "none") (include "lmcache-kserve.backend.known" $context) -}}
    {{- range $folder, $questions := include (printf "lmcache-kserve.backend.%s.answers" $type) $context | fromYaml -}}
      {{- if has $question $questions -}}
        {{- include (printf "lmcache-kserve.backend.%s.%s" $folder $question) $context -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end }}

{{/* Whether the chart deploys the chosen type. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.deployed" -}}
  {{- if dig (include "lmcache-kserve.backend.valuesKey" .) "deploy" false .Values.remoteBackend }}true{{ end -}}
{{- end }}

{{/*
Whether the chart deploys one of these types: the condition of their files.
Input: list of the root context and types. Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.backend.deploys" -}}
  {{- $context := first . -}}
  {{- if has $context.Values.remoteBackend.type (rest .) }}{{ include "lmcache-kserve.backend.deployed" $context }}{{ end -}}
{{- end }}

{{/* Name of the chosen type's Service, and of its workload where it has one. */}}
{{- define "lmcache-kserve.backend.name" -}}
  {{- include "lmcache-kserve.names.of" (dict "context" . "suffix" .Values.remoteBackend.type) -}}
{{- end }}

{{/* Host of that Service. */}}
{{- define "lmcache-kserve.backend.host" -}}
  {{- include "lmcache-kserve.backend.name" . }}.{{ .Release.Namespace }}.svc
{{- end }}
