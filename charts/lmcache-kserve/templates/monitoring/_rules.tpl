{{/*
Recording rules and alerts for Prometheus, of files/rules.yaml.
*/}}

{{/*
Whether the engine's /metrics shows LMCache's own metrics of mode in-process. LMCache counts in a process of the engine, and the
server that answers /metrics is another: they meet in a folder (PROMETHEUS_MULTIPROC_DIR). KServe's server does not look there.
Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.monitoring.ofLmcache" -}}
{{- if and (include "lmcache-kserve.lmcache.inProcess" .) (eq .Values.runtime.server "vllm") -}}
{{- if kindIs "bool" .Values.lmcache.metrics | ternary .Values.lmcache.metrics .Values.monitoring.rules.enabled }}true{{ end -}}
{{- end -}}
{{- end }}

{{/* The folder of these metrics. */}}
{{- define "lmcache-kserve.monitoring.folder" -}}
/run/lmcache-metrics
{{- end }}

{{/* What the release serves for a rule's `needs`, and each of files/rules.yaml's words in this release. Output: JSON dicts. */}}
{{- define "lmcache-kserve.monitoring.served" -}}
{{- $served := list -}}
{{- if include "lmcache-kserve.monitoring.ofLmcache" . }}{{ $served = append $served "lmcache" }}{{ end -}}
{{- if and .Values.lmcache.multiprocess.metrics.enabled (include "lmcache-kserve.multiprocess" .) -}}
  {{- $served = append $served "server" -}}
{{- end -}}
{{- with include "lmcache-kserve.backend.ask" (list . "metrics") -}}
  {{- range fromJsonArray . }}{{ if eq .part "proxy" }}{{ $served = append $served "proxy" }}{{ end }}{{ end -}}
{{- end -}}
{{- if include "lmcache-kserve.backend.ask" (list . "capacity") }}{{ $served = append $served "capacity" }}{{ end -}}
{{- if not (and .Values.predictor.autoscaling.enabled (eq (int .Values.predictor.autoscaling.minReplicas) 0)) -}}
  {{- $served = append $served "replica" -}}
{{- end -}}
{{- toJson $served -}}
{{- end }}

{{- define "lmcache-kserve.monitoring.words" -}}
{{- $rules := .Values.monitoring.rules -}}
{{- $of := dict -}}
{{- /* Prometheus Operator names a job after the PodMonitor. */ -}}
{{- range list "predictor" "cache-server" "backend" -}}
  {{- $job := printf "%s/%s" $.Release.Namespace (include "lmcache-kserve.names.of" (dict "context" $ "suffix" .)) -}}
  {{- $_ := set $of . (printf "namespace=%q,job=%q" $.Release.Namespace $job) -}}
{{- end -}}
{{- $server := printf "%s,endpoint=\"lmcache-metrics\"" $of.predictor -}}
{{- if include "lmcache-kserve.multiprocess.daemonset" . }}{{ $server = get $of "cache-server" }}{{ end -}}
{{- toJson (dict
      "predictor" $of.predictor
      "server" $server
      "backend" $of.backend
      "release" (printf "namespace=%q,inferenceservice=%q" .Release.Namespace (include "lmcache-kserve.fullname" .))
      "window" $rules.window
      "capacity" (include "lmcache-kserve.backend.ask" (list . "capacity"))) -}}
{{- end }}

{{/* An expression of files/rules.yaml with the release's words. Input: dict "expr" "words". */}}
{{- define "lmcache-kserve.monitoring.expression" -}}
{{- $expression := .expr -}}
{{- range $word, $text := .words }}{{ $expression = replace (printf "@%s@" $word) $text $expression }}{{ end -}}
{{- $expression -}}
{{- end }}

{{/* Whether every metric that a rule needs is served. Input: list of the rule and what is served. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.monitoring.possible" -}}
{{- $missing := list -}}
{{- range (first .).needs }}{{ if not (has . (last $)) }}{{ $missing = append $missing . }}{{ end }}{{ end -}}
{{- if not $missing }}true{{ end -}}
{{- end }}
