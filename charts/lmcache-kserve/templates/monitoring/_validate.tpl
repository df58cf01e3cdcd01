{{/*
Rules for the values of monitoring.
*/}}

{{- define "lmcache-kserve.validate.monitoring" -}}
{{- $names := list }}
{{- range (.Files.Get "files/rules.yaml" | fromYaml).alerts }}{{ $names = append $names .alert }}{{ end }}
{{- range $name, $changes := .Values.monitoring.rules.alerts }}
{{- range $key, $value := $changes }}
{{- $kinds := get (dict "enabled" (list "bool") "severity" (list "string") "threshold" (list "int" "int64" "float64")) $key }}
{{- if and $kinds (not (has (kindOf $value) $kinds)) }}
monitoring.rules.alerts.{{ $name }}.{{ $key }}: {{ toJson $value }} is no {{ get (dict "enabled" "Boolean" "severity" "text" "threshold" "number") $key }}
{{- end }}
{{- end }}
{{- if not (has $name $names) }}
monitoring.rules.alerts.{{ $name }}: is no alert; the alerts are {{ $names | uniq | join ", " }}
{{- end }}
{{- end }}
{{- if and .Values.monitoring.dashboard.enabled (not .Values.monitoring.rules.enabled) }}
monitoring.dashboard.enabled: needs monitoring.rules.enabled, whose series the dashboard shows
{{- end }}
{{- if and .Values.monitoring.rules.enabled (not .Values.monitoring.podMonitor.enabled) }}
monitoring.rules.enabled: needs monitoring.podMonitor.enabled, whose series the rules read
{{- end }}
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
