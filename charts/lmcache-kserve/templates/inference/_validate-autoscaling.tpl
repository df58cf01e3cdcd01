{{/*
Rules for the values of predictor.autoscaling.
*/}}

{{- define "lmcache-kserve.validate.autoscaling" -}}
{{- $scaling := .Values.predictor.autoscaling -}}
{{- $at := "predictor.autoscaling" -}}
{{- if $scaling.enabled }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{ $at }}.minReplicas: {{ int $scaling.minReplicas }} is more than {{ $at }}.maxReplicas, {{ int $scaling.maxReplicas }}
{{- end }}
{{- if include "lmcache-kserve.predictor.knative" . }}
{{- if ne $scaling.class "hpa" }}
{{ $at }}.class: {{ $scaling.class }} works in Standard mode only; Knative scales itself
{{- end }}
{{- if or $scaling.metrics $scaling.behavior }}
{{ $at }}.metrics, behavior: work in Standard mode only; with Knative use scaleMetric and scaleTarget
{{- end }}
{{- else }}
{{- if has $scaling.scaleMetric (list "concurrency" "rps") }}
{{ $at }}.scaleMetric: {{ $scaling.scaleMetric }} works with kserve.deploymentMode Knative only
{{- end }}
{{- if and (eq (int $scaling.minReplicas) 0) (eq $scaling.class "hpa") }}
{{ $at }}.minReplicas: 0 needs {{ $at }}.class keda, or kserve.deploymentMode Knative
{{- end }}
{{- if and $scaling.behavior (not $scaling.preset) (not (include "lmcache-kserve.versions.has" (list . "kserve" "scalingBehavior"))) }}
{{ $at }}.behavior: needs KServe 0.16 or newer, but kserve.version is {{ .Values.kserve.version }}; remove it, or use {{ $at }}.preset
{{- end }}
{{- if ne $scaling.class "keda" }}
{{- range $index, $metric := $scaling.metrics }}
{{- if ne $metric.type "Resource" }}
{{ $at }}.metrics[{{ $index }}]: type {{ $metric.type }} needs {{ $at }}.class keda
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rules of preset waiting-requests. */}}
{{- define "lmcache-kserve.validate.preset" -}}
{{- $scaling := .Values.predictor.autoscaling -}}
{{- $at := "predictor.autoscaling" -}}
{{- $preset := $scaling.waitingRequests -}}
{{- if $scaling.preset }}
{{- if not $scaling.enabled }}
{{ $at }}.preset: {{ $scaling.preset }} needs {{ $at }}.enabled
{{- else if ne $scaling.class "keda" }}
{{ $at }}.class: {{ $scaling.class }} does not know {{ $at }}.preset {{ $scaling.preset }}; use keda
{{- end }}
{{- range list "metrics" "scaleMetric" "scaleTarget" }}
{{- if get $scaling . }}
{{ $at }}.{{ . }}: is not used with {{ $at }}.preset, which has its own query; keep one of the two
{{- end }}
{{- end }}
{{- if not $preset.prometheusUrl }}
{{ $at }}.waitingRequests.prometheusUrl: is required with {{ $at }}.preset, such as http://prometheus-operated.monitoring.svc:9090
{{- end }}
{{- if not (or $preset.query .Values.monitoring.podMonitor.enabled) }}
{{ $at }}.waitingRequests.query: is needed while monitoring.podMonitor.enabled is false, because Prometheus then has no series of its own
{{- end }}
{{- if and (eq (int $scaling.minReplicas) 0) (not .Values.monitoring.podMonitor.enabled) }}
{{ $at }}.minReplicas: 0 needs monitoring.podMonitor.enabled, because requests that run have to keep the last replica
{{- end }}
{{- if and (eq (int $scaling.minReplicas) 0) (not $preset.activationQuery) }}
{{ $at }}.waitingRequests.activationQuery: is needed for {{ $at }}.minReplicas 0, because no replica means no queue that could grow
{{- else if and (gt (int $scaling.minReplicas) 0) $preset.activationQuery }}
{{ $at }}.waitingRequests.activationQuery: is not used while {{ $at }}.minReplicas is {{ int $scaling.minReplicas }}
{{- end }}
{{- end }}
{{- end }}
