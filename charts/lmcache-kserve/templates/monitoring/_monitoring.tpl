{{/*
What serves metrics for Prometheus. A backend answers the question `metrics`. The first answer's PodMonitor is called `backend`,
and further ones end in their part.
*/}}

{{/*
Every part that serves metrics.
Output: JSON list of dicts: "name" of the part, "component" of its objects, "labels" of its pods, "ports" by name.
*/}}
{{- define "lmcache-kserve.monitoring.parts" -}}
{{- $server := and .Values.lmcache.multiprocess.metrics.enabled (include "lmcache-kserve.multiprocess" .) -}}
{{- $daemonset := include "lmcache-kserve.multiprocess.daemonset" . -}}
{{- $predictor := include "lmcache-kserve.predictor.podSelector" . | fromYaml -}}
{{- $ports := list "http1" -}}
{{- if and $server (not $daemonset) }}{{ $ports = append $ports "lmcache-metrics" }}{{ end -}}
{{- $parts := list (dict "name" "predictor" "component" "predictor" "labels" $predictor "ports" $ports) -}}
{{- if and $server $daemonset -}}
  {{- $labels := include "lmcache-kserve.labels.selector" (dict "context" . "component" "cache-server") | fromYaml -}}
  {{- $parts = append $parts (dict "name" "cache-server" "component" "cache-server" "labels" $labels "ports" (list "lmcache-metrics")) -}}
{{- end -}}
{{- with include "lmcache-kserve.backend.ask" (list . "metrics") -}}
  {{- range $index, $served := fromJsonArray . -}}
    {{- $labels := include "lmcache-kserve.labels.selector" (dict "context" $ "component" "remote-backend") | fromYaml -}}
    {{- with $served.part }}{{ $_ := set $labels "lmcache-kserve/part" . }}{{ end -}}
    {{- $name := ternary "backend" (printf "backend-%s" (default "" $served.part)) (eq $index 0) -}}
    {{- $parts = append $parts (dict "name" $name "component" "remote-backend" "labels" $labels "ports" (list $served.port)) -}}
  {{- end -}}
{{- end -}}
{{- toJson $parts -}}
{{- end }}
