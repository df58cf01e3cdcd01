{{/*
The Sentinels' sentinel.conf. When a Sentinel starts, its script adds the Sentinel's name, the master and the password to a
copy, into which the Sentinel writes what it learns.
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.sentinelConfig" -}}
{{- $values := .Values.remoteBackend.redisSentinel -}}
bind * -::*
dir /run/redis
protected-mode no
sentinel announce-hostnames yes
sentinel resolve-hostnames yes
sentinel down-after-milliseconds {{ $values.masterName }} {{ int $values.sentinel.downAfterMilliseconds }}
sentinel failover-timeout {{ $values.masterName }} {{ int $values.sentinel.failoverTimeoutMilliseconds }}
sentinel parallel-syncs {{ $values.masterName }} {{ int $values.sentinel.parallelSyncs }}
{{- end }}

{{/* Files of the Sentinels by name. Output: JSON dict. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.sentinelFiles" -}}
  {{- dict
        "sentinel.conf" (include "lmcache-kserve.backend.redis-sentinel.sentinelConfig" .)
        "find_master.sh" (.Files.Get "files/find_master.sh")
        "start_sentinel.sh" (.Files.Get "files/start_sentinel.sh") | toJson -}}
{{- end }}
