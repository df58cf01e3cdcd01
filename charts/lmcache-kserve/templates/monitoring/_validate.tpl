{{/*
Rules for the values of monitoring.
*/}}

{{- define "lmcache-kserve.validate.monitoring" -}}
{{- if .Values.monitoring.podMonitor.enabled }}
{{- if include "lmcache-kserve.predictor.knative" . }}
monitoring.podMonitor.enabled: works with kserve.deploymentMode Standard; Knative's pods serve their metrics through its queue-proxy
{{- end }}
{{- $policy := .Values.networkPolicy }}
{{- if and $policy.enabled (include "lmcache-kserve.backend.ask" (list . "metrics")) (not $policy.backend.ingressFrom) }}
networkPolicy.backend.ingressFrom: has to name Prometheus, or monitoring.podMonitor.enabled has nothing to scrape of the backend
{{- end }}
{{- end }}
{{- end }}
