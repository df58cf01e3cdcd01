{{/*
redis_exporter beside a server that speaks Redis' protocol: the one of redis and valkey, or a node or a Sentinel of redis-sentinel.
*/}}

{{/* Whether the chart runs exporters. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.resp.exported" -}}
{{- if and .Values.remoteBackend.exporter.enabled (include "lmcache-kserve.backend.deployed" .) }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.backend.resp.exporterPort" -}}
9121
{{- end }}

{{- define "lmcache-kserve.backend.resp.metrics" -}}
{{- if include "lmcache-kserve.backend.resp.exported" . }}{{ list (dict "port" "metrics") | toJson }}{{ end -}}
{{- end }}

{{/*
The exporter's container. The program has another name in images of Linux distributions. A password from a file that ends in a
newline works too, as it does for the server.
Input: dict "context" $, optional "port" of the server. Output: YAML list of one container, or nothing.
*/}}
{{- define "lmcache-kserve.backend.resp.exporter" -}}
{{- if include "lmcache-kserve.backend.resp.exported" .context -}}
{{- $values := get .context.Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .context) -}}
{{- $exporter := .context.Values.remoteBackend.exporter -}}
- name: exporter
  image: {{ include "lmcache-kserve.image" $exporter.image | quote }}
  imagePullPolicy: {{ $exporter.image.pullPolicy }}
  command:
    - sh
    - -ec
    - |
      if [ -n "${REDIS_PASSWORD-}" ]; then
        REDIS_PASSWORD="$(printf '%s' "$REDIS_PASSWORD")"
      fi
      for program in redis_exporter /redis_exporter prometheus-redis-exporter; do
        if command -v "$program" >/dev/null; then exec "$program" "$@"; fi
      done
      echo "this image has no redis_exporter" >&2
      exit 127
    - redis_exporter
  args:
    - {{ printf "-redis.addr=redis://localhost:%s" (default (include "lmcache-kserve.backend.resp.port" .context) .port) }}
    - {{ printf "-web.listen-address=:%s" (include "lmcache-kserve.backend.resp.exporterPort" .context) }}
  {{- if $values.auth.enabled }}
  env:
    - name: REDIS_PASSWORD
      valueFrom:
        secretKeyRef:
          name: {{ include "lmcache-kserve.backend.resp.secretName" .context | quote }}
          key: {{ include "lmcache-kserve.backend.resp.secretKey" .context | quote }}
  {{- end }}
  ports:
    - name: metrics
      containerPort: {{ include "lmcache-kserve.backend.resp.exporterPort" .context }}
      protocol: TCP
  livenessProbe:
    httpGet:
      path: /health
      port: metrics
    periodSeconds: 30
    timeoutSeconds: 5
    failureThreshold: 3
  {{- with $exporter.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "lmcache-kserve.pods.securityContext" $values.securityContext }}
  securityContext:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end }}

{{/* Who reads the metrics: the peers of networkPolicy.backend.ingressFrom. Output: YAML list of one rule, or nothing. */}}
{{- define "lmcache-kserve.backend.resp.exporterIngress" -}}
{{- if include "lmcache-kserve.backend.resp.exported" . -}}
{{- with .Values.networkPolicy.backend.ingressFrom -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - port: {{ include "lmcache-kserve.backend.resp.exporterPort" $ }}
      protocol: TCP
{{- end -}}
{{- end -}}
{{- end }}
