{{/* Port of the proxy's health and metrics. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.healthPort" -}}
8404
{{- end }}

{{/*
HAProxy's configuration, for HAProxy 2.6 and later. The start command sets the names in ${}, the credentials from the Secret.
The checks speak Redis' own protocol, where the length stands before a text: so a password may have any character. The QUIT
makes a node that is not the master end its answer; without it the check would wait for more.
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.haproxyConfig" -}}
{{- $values := .Values.remoteBackend.redisSentinel -}}
{{- $proxy := $values.proxy -}}
{{- $external := $values.external -}}
{{- $tls := and (not $values.deploy) $external.tls.enabled -}}
{{- $nodes := include "lmcache-kserve.backend.redis-sentinel.addresses" (dict "context" . "part" "redis") | fromJsonArray -}}
{{- $sentinels := include "lmcache-kserve.backend.redis-sentinel.addresses" (dict "context" . "part" "sentinel") | fromJsonArray -}}
{{- $quorum := ternary $values.sentinel.quorum (add (div (len $sentinels) 2) 1) $values.deploy | int -}}
{{- $password := "\\$${REDIS_PASSWORD_BYTES}\\r\\n${REDIS_PASSWORD}\\r\\n" -}}
global
  log stdout format raw daemon notice
  # Without a limit HAProxy prepares for as many connections as the node allows files, which may be a billion.
  maxconn {{ int $proxy.maxConnections }}
  hard-stop-after 10s

defaults
  mode tcp
  log global
  option clitcpka
  option srvtcpka
  timeout connect 2s
  timeout check 2s
  # Idle connections of LMCache's pool stay; those to a lost peer end by keep-alive.
  timeout client 1h
  timeout server 1h

# A pod that is replaced keeps its name and gets another address.
resolvers pods
  parse-resolv-conf
  accepted_payload_size 8192
  resolve_retries 3
  timeout resolve 1s
  timeout retry 1s
  hold valid 2s

frontend health
  mode http
  bind "${BIND_ADDRESS}:${HEALTH_PORT}" v4v6
  timeout client 10s
  monitor-uri /ready
  monitor fail if { nbsrv(master) eq 0 }
  http-request return status 200 if { path /live }
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 404

frontend clients
  bind "${BIND_ADDRESS}:${PORT}" v4v6
  default_backend master

# Nodes that are master by their own account. More than one may be so for a while after a failure: the node that a quorum of
# the Sentinels names is used, and while there is none such, the first.
backend master
  balance first
  option tcp-check
  {{- if $values.auth.enabled }}
  {{- if $values.auth.username }}
  tcp-check send "*3\r\n\$4\r\nAUTH\r\n\$${REDIS_USERNAME_BYTES}\r\n${REDIS_USERNAME}\r\n{{ $password }}"
  {{- else }}
  tcp-check send "*2\r\n\$4\r\nAUTH\r\n{{ $password }}"
  {{- end }}
  tcp-check expect string +OK
  {{- end }}
  tcp-check send "PING\r\n"
  tcp-check expect string +PONG
  tcp-check send "INFO replication\r\nQUIT\r\n"
  tcp-check expect string role:master
  default-server check inter 1s fastinter 250ms fall 3 rise 1 on-marked-down shutdown-sessions resolvers pods init-addr libc,none
  {{- range $index, $node := ternary $nodes list (not (empty $sentinels)) }}
  use-server redis-{{ $index }} if { srv_is_up(redis-{{ $index }}) } { nbsrv(sentinels-for-redis-{{ $index }}) ge {{ $quorum }} }
  {{- end }}
  {{- range $index, $node := $nodes }}
  server redis-{{ $index }} {{ $node }}
    {{- if $tls }}
    {{- $host := regexReplaceAll ":[0-9]+$" $node "" }}
    {{- $authorities := ternary "/etc/haproxy-tls/ca/ca.crt" "@system-ca" (not (and (empty $external.tls.caSecret) (empty $external.tls.caConfigMap))) }} ssl
    {{- with $external.tls.clientSecret }} crt /etc/haproxy-tls/client/client.pem{{ end }}
    {{- if $external.tls.verify }} verify required verifyhost {{ $host }} sni str({{ $host }}) ca-file {{ $authorities }}
    {{- else }} verify none
    {{- end }}
    {{- end }}
  {{- end }}
{{- range $index, $node := ternary $nodes list (not (empty $sentinels)) }}

# Sentinels that call {{ $node }} the master.
backend sentinels-for-redis-{{ $index }}
  option tcp-check
  {{- if and $values.auth.enabled (or $values.deploy $external.sentinelAuth) }}
  tcp-check send "*2\r\n\$4\r\nAUTH\r\n{{ $password }}"
  tcp-check expect string +OK
  {{- end }}
  tcp-check send "INFO sentinel\r\nQUIT\r\n"
  tcp-check expect string "name={{ $values.masterName }},status=ok,address={{ $node }},"
  default-server check inter 1s fastinter 250ms fall 2 rise 1 resolvers pods init-addr libc,none
  {{- range $number, $sentinel := $sentinels }}
  server sentinel-{{ $number }} {{ $sentinel }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Who connects to the proxy: its clients, and whoever the user names, also for the metrics. Output: YAML list of rules. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.proxyIngress" -}}
- from:
    {{- include "lmcache-kserve.networkPolicy.backendClients" . | nindent 4 }}
  ports:
    {{- include "lmcache-kserve.networkPolicy.ports" (include "lmcache-kserve.backend.ask" (list . "ports") | fromYamlArray) | nindent 4 }}
{{- with .Values.networkPolicy.backend.ingressFrom }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - port: {{ include "lmcache-kserve.backend.redis-sentinel.healthPort" $ }}
      protocol: TCP
{{- end }}
{{- end }}

{{/* Egress of the proxy to external servers: their ports, at any address. Output: YAML list of rules. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.proxyEgress" -}}
{{- with .Values.remoteBackend.redisSentinel }}
{{- if not .deploy }}
- ports:
    {{- $ports := list -}}
    {{- range concat .external.servers .external.sentinels }}{{ $ports = append $ports (splitList ":" . | last | int) }}{{ end }}
    {{- include "lmcache-kserve.networkPolicy.ports" (uniq $ports) | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
