{{/*
Labels and metadata of every object.
*/}}

{{/*
Labels that a selector may use, because they never change during the life of a release.
Input: dict "context" $ "component" "remote-backend".
*/}}
{{- define "lmcache-kserve.labels.selector" -}}
app.kubernetes.io/name: {{ include "lmcache-kserve.name" .context | quote }}
app.kubernetes.io/instance: {{ .context.Release.Name | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/*
All labels of an object. The user's commonLabels are added, but cannot replace the chart's own. KServe copies the labels of
an InferenceService to its pods. A label with the chart's version would therefore restart every replica with each new chart.
Input: dict "context" $ "component" "remote-backend", optional "extra" dict.
*/}}
{{- define "lmcache-kserve.labels" -}}
{{- $own := include "lmcache-kserve.labels.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" (.context.Chart.AppVersion | replace "+" "_" | trunc 63) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .context.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" .context.Chart.Name -}}
{{- merge $own (default dict .extra) .context.Values.commonLabels | include "lmcache-kserve.stringMap" -}}
{{- end }}

{{/*
The chart's name and version, for the standard label helm.sh/chart. The ServingRuntime alone carries this label: KServe
copies none of the labels in its metadata, and `lmcache-kserve verify` reads the version there.
Input: $.
*/}}
{{- define "lmcache-kserve.labels.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The `metadata` of an object.
Input: dict "context" $ "name" "..." "component" "...", optional "labels" dict and "annotations" dict.
*/}}
{{- define "lmcache-kserve.metadata" -}}
metadata:
  name: {{ .name | quote }}
  namespace: {{ .context.Release.Namespace | quote }}
  labels:
    {{- include "lmcache-kserve.labels" (dict "context" .context "component" .component "extra" .labels) | nindent 4 }}
  {{- with merge (dict) (default dict .annotations) .context.Values.commonAnnotations }}
  annotations:
    {{- include "lmcache-kserve.stringMap" . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* A map whose values must be strings in Kubernetes, as YAML; a key with null is left out. Input: dict. */}}
{{- define "lmcache-kserve.stringMap" -}}
{{- $strings := dict -}}
{{- range $key, $value := . -}}
  {{- if not (kindIs "invalid" $value) }}{{ $_ := set $strings $key (include "lmcache-kserve.string" $value) }}{{ end -}}
{{- end -}}
{{- toYaml $strings -}}
{{- end }}

{{/* Labels that a user gives. Input: dict "path" "commonLabels" "labels" dict. */}}
{{- define "lmcache-kserve.validate.labels" -}}
{{- if hasKey .labels "serving.kserve.io/inferenceservice" }}
{{ .path }}: must not have serving.kserve.io/inferenceservice, because KServe deletes objects with this label
{{- end }}
{{- end }}
