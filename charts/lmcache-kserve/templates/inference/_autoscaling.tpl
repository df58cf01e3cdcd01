{{/*
Who scales the predictor, and on what.

KServe can make a ScaledObject itself (class keda, predictor.autoscaling.metrics). From 0.15 to 0.20 it fills in queries, thresholds
and stabilization windows only: no cooldown and no activation, so that a release at zero would go and come as KEDA's defaults say.
Release 0.15 knows no credentials for Prometheus either. So the chart renders the ScaledObject of a preset, and tells KServe
`external`. KServe then makes no autoscaler and leaves the Deployment's replicas alone, in each of these releases.
Source: kserve/kserve, pkg/controller/v1beta1/inferenceservice/reconcilers (keda, hpa, deployment) of 0.15.1 to 0.20.0.
*/}}

{{/* Class of the autoscaler, as KServe shall see it. */}}
{{- define "lmcache-kserve.autoscaling.class" -}}
{{- with .Values.predictor.autoscaling -}}
{{- if not .enabled }}none{{ else if .preset }}external{{ else }}{{ .class }}{{ end -}}
{{- end -}}
{{- end }}

{{/*
What KEDA asks Prometheus. The second query keeps a release alive that may go to zero, and adds no replica beyond the first: it is
at most 1, as is its threshold. `or vector(0)` stands for a series that nobody has, such as the one of no replica.
Output: JSON list of dicts "name", "query" and "threshold".
*/}}
{{- define "lmcache-kserve.autoscaling.queries" -}}
{{- $scaling := .Values.predictor.autoscaling -}}
{{- $preset := $scaling.waitingRequests -}}
{{- $release := get (include "lmcache-kserve.monitoring.words" . | fromJson) "predictor" -}}
{{- $waiting := default (printf "sum(vllm:num_requests_waiting{%s})" $release) $preset.query -}}
{{- $queries := list (dict "name" "waiting" "query" $waiting "threshold" $preset.threshold) -}}
{{- if eq (int $scaling.minReplicas) 0 -}}
  {{- $asked := printf "(sum(%s) or vector(0))" $preset.activationQuery -}}
  {{- $needed := printf "%s + (sum(vllm:num_requests_running{%s}) or vector(0))" $asked $release -}}
  {{- $queries = append $queries (dict "name" "activation" "query" (printf "clamp_max(%s, 1)" $needed) "threshold" 1) -}}
{{- end -}}
{{- toJson $queries -}}
{{- end }}

{{/* Scaling behavior: a replica goes after the cooldown, of which Kubernetes takes an hour at most. Output: YAML. */}}
{{- define "lmcache-kserve.autoscaling.behavior" -}}
{{- $scaling := .Values.predictor.autoscaling -}}
{{- $window := dict "scaleDown" (dict "stabilizationWindowSeconds" (min 3600 (int $scaling.waitingRequests.cooldownSeconds))) -}}
{{- mergeOverwrite $window (include "lmcache-kserve.withoutNulls" $scaling.behavior | fromJson) | toYaml -}}
{{- end }}
