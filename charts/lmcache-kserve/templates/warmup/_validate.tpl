{{/*
Rules for the values of the warm-up.
*/}}

{{- define "lmcache-kserve.validate.warmup" -}}
{{- include "lmcache-kserve.validate.labels" (dict "path" "warmup.podLabels" "labels" .Values.warmup.podLabels) }}
{{- $scaling := .Values.predictor.autoscaling }}
{{- if and (include "lmcache-kserve.warmup.wanted" .) $scaling.enabled (eq (int $scaling.minReplicas) 0) }}
warmup: needs a replica to send prompts to, but predictor.autoscaling.minReplicas is 0
{{- end }}
{{- end }}
