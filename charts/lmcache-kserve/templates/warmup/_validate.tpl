{{/*
Rules for the values of the warm-up.
*/}}

{{- define "lmcache-kserve.validate.warmup" -}}
{{- include "lmcache-kserve.validate.labels" (dict "path" "warmup.podLabels" "labels" .Values.warmup.podLabels) }}
{{- $scaling := .Values.predictor.autoscaling }}
{{- if and (include "lmcache-kserve.warmup.wanted" .) $scaling.enabled (eq (int $scaling.minReplicas) 0) }}
warmup: needs a replica to send prompts to, but predictor.autoscaling.minReplicas is 0
{{- end }}
{{- if and (include "lmcache-kserve.warmup.wanted" .) (not .Values.lmcache.enabled) }}
warmup: LMCache is to keep the prompts, but lmcache.enabled is false
{{- end }}
{{- $bytes := 0 }}
{{- range .Values.warmup.prompts }}{{ $bytes = add $bytes (len .) }}{{ end }}
{{- if gt $bytes 921600 }}
warmup.prompts: {{ $bytes }} bytes do not fit into a ConfigMap; spread them over ConfigMaps of your own (warmup.existingConfigMap)
{{- end }}
{{- end }}
