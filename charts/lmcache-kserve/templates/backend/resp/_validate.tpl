{{/*
What the schema cannot say about the values of redis, valkey and redis-sentinel.
*/}}

{{- define "lmcache-kserve.backend.resp.problems" -}}
{{- $values := get .Values.remoteBackend (include "lmcache-kserve.backend.valuesKey" .) -}}
{{- $at := printf "remoteBackend.%s" (include "lmcache-kserve.backend.valuesKey" .) -}}
{{- $auth := $values.auth -}}
{{- $external := $values.external -}}
{{- if include "lmcache-kserve.backend.resp.glide" . }}
{{- with include "lmcache-kserve.versions.lacks" (list . "glide") }}
{{ $at }}.client: glide {{ . }}; use redis-py
{{- end }}
{{- if not .Values.runtime.image.repository }}
{{ $at }}.client: the default image lacks valkey-glide-sync; set runtime.image.repository to an image with it (images/kserve-backends), or use redis-py
{{- end }}
{{- if or $external.tls.caSecret $external.tls.caConfigMap $external.tls.clientSecret (not $external.tls.verify) }}
{{ $at }}.client: LMCache gives glide no certificates and always verifies; use redis-py, or unset {{ $at }}.external.tls.caSecret and the like
{{- end }}
{{- if get (include "lmcache-kserve.lmcache.config" . | fromJson) "save_unfull_chunk" }}
lmcache.config.save_unfull_chunk: must be false with {{ $at }}.client glide, which stores whole chunks only
{{- end }}
{{- end }}
{{- if include "lmcache-kserve.backend.resp.direct" . }}
{{- with include "lmcache-kserve.versions.lacks" (list . "connectorsByName") }}
{{ $at }}.client: direct {{ . }}; use redis-py
{{- end }}
{{- if get (include "lmcache-kserve.lmcache.config" . | fromJson) "enable_scheduler_bypass_lookup" }}
lmcache.config.enable_scheduler_bypass_lookup: does not work with {{ $at }}.client direct, which needs LMCache's memory; use redis-py
{{- end }}
{{- if get .Values.lmcache.config "remote_storage_plugins" }}
lmcache.config.remote_storage_plugins: would replace the plugin of {{ $at }}.client direct; use redis-py
{{- end }}
{{- end }}
{{- $address := ternary "servers" "endpoint" (hasKey $external "servers") -}}
{{- if $values.deploy }}
{{- if get $external $address }}
{{ $at }}.external.{{ $address }}: names a server, but {{ $at }}.deploy is true; set {{ $at }}.deploy to false to use it
{{- end }}
{{- if $external.tls.enabled }}
{{ $at }}.external.tls.enabled: works with an external server only; set {{ $at }}.deploy to false and name its {{ $address }}
{{- end }}
{{- if $external.database }}
{{ $at }}.external.database: works with an external server only; the deployed one is the release's own
{{- end }}
{{- if $auth.username }}
{{ $at }}.auth.username: works with an external server only; the deployed one has its default user
{{- end }}
{{- if not (or $values.maxmemory (dig "limits" "memory" "" $values.resources)) }}
{{ $at }}.resources.limits.memory: is needed to bound the cache, or set {{ $at }}.maxmemory
{{- else if eq (include "lmcache-kserve.backend.resp.maxmemory" . | int64) 0 }}
{{ $at }}.{{ ternary "maxmemory" "resources.limits.memory" (not (empty $values.maxmemory)) }}: is not a quantity above zero, such as 8Gi
{{- end }}
{{- include "lmcache-kserve.images.problems" (dict "path" (printf "%s.image" $at) "image" $values.image) }}
{{- if and $values.persistence.existingClaim (not $values.persistence.enabled) }}
{{ $at }}.persistence.existingClaim: is not used while {{ $at }}.persistence.enabled is false
{{- end }}
{{- $claimed := and $values.persistence.enabled (not $values.persistence.existingClaim) }}
{{- if and $claimed (eq (include "lmcache-kserve.bytes" $values.persistence.size | int64) 0) }}
{{ $at }}.persistence.size: {{ $values.persistence.size | quote }} is not a quantity above zero, such as 32Gi
{{- end }}
{{- else }}
{{- if not (get $external $address) }}
{{ $at }}.external.{{ $address }}: is required (host:port) when {{ $at }}.deploy is false
{{- end }}
{{- if and $auth.enabled (not $auth.existingSecret) (not $auth.password) }}
{{ $at }}.auth: an external server needs auth.existingSecret or auth.password; set auth.enabled to false if it has no password
{{- end }}
{{- include "lmcache-kserve.backend.caProblems" (dict "path" (printf "%s.external.tls" $at) "tls" $external.tls) }}
{{- end }}
{{- if and (include "lmcache-kserve.multiprocess" .) (not $values.deploy) (not (include "lmcache-kserve.backend.resp.l2Direct" .)) }}
{{- if include "lmcache-kserve.backend.resp.tls" . }}
{{ $at }}.external.tls.enabled: LMCache's client of lmcache.mode multiprocess has no TLS; use {{ $at }}.client auto
{{- end }}
{{- if $external.database }}
{{ $at }}.external.database: LMCache's client of lmcache.mode multiprocess uses database 0; use {{ $at }}.client auto
{{- end }}
{{- end }}
{{- if and $auth.password $auth.existingSecret }}
{{ $at }}.auth.password: excludes {{ $at }}.auth.existingSecret; keep one of the two
{{- end }}
{{- if and (not $auth.enabled) (or $auth.password $auth.existingSecret $auth.username) }}
{{ $at }}.auth.enabled: is false, but a user name, password or existingSecret is set
{{- end }}
{{- range $directive, $arguments := $values.config }}
{{- $words := splitList " " (lower $directive | trim) }}
{{- $place := ternary "use a key without a password" (printf "use %s.auth.existingSecret" $at) (hasSuffix "-file-pass" (first $words)) }}
{{- if has (first $words) (list "requirepass" "masterauth" "masteruser" "user" "tls-key-file-pass" "tls-client-key-file-pass") }}
{{- include "lmcache-kserve.validate.credential" (dict "path" (printf "%s.config.%s" $at $directive) "advice" $place) }}
{{- else if regexMatch "[\\r\\n]" (printf "%s %s" $directive (join " " (kindIs "slice" $arguments | ternary $arguments (list $arguments)))) }}
{{ $at }}.config.{{ $directive | replace "\n" " " }}: has a line break, which would begin another directive; use a list
{{- end }}
{{- end }}
{{- if regexMatch "[\\r\\n]" (default "" $auth.password) }}
{{ $at }}.auth.password: has a line break, which no client can send
{{- end }}
{{- end }}
