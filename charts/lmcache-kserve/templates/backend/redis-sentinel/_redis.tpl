{{/*
The nodes' redis.conf. When a node starts, its script adds the node's name, its master and the password.
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.redisConfig" -}}
  {{- $maxmemory := include "lmcache-kserve.backend.resp.maxmemory" . | int64 -}}
  {{- /*
  A chunk takes megabytes. Redis' own buffers (1 MB of backlog, 256 MB for a copying replica) hold too few chunks: a short
  interruption would cost a whole copy, and a copy during heavy traffic would never end.
  */ -}}
  {{- $replicaBuffer := printf "replica %d %d 60" (div $maxmemory 8) (div $maxmemory 16) -}}
  {{- $directives := dict
        "client-output-buffer-limit" $replicaBuffer
        "min-replicas-to-write" "0"
        "repl-backlog-size" (div $maxmemory 32 | toString)
        "repl-diskless-load" "on-empty-db"
        "repl-diskless-sync" "yes"
        "repl-diskless-sync-delay" "1"
        "repl-diskless-sync-max-replicas" (sub (int .Values.remoteBackend.redisSentinel.replicas) 1 | toString)
        "replica-read-only" "yes" -}}
  {{- include "lmcache-kserve.backend.resp.serverConfig" (dict "context" . "directives" $directives) | trim -}}
{{- end }}

{{/* Files of the nodes by name, beside find_master.sh. Output: JSON dict. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.redisFiles" -}}
  {{- dict
        "redis.conf" (include "lmcache-kserve.backend.redis-sentinel.redisConfig" .)
        "find_master.sh" (.Files.Get "files/find_master.sh")
        "start_redis.sh" (.Files.Get "files/start_redis.sh")
        "hand_over.sh" (.Files.Get "files/hand_over.sh") | toJson -}}
{{- end }}
