{{/*
Rules for tenants: lmcache.tenants.
*/}}

{{- define "lmcache-kserve.validate.lmcache.tenants" -}}
{{- $lmcache := .Values.lmcache -}}
{{- $tenants := $lmcache.tenants -}}
{{- $at := "lmcache.tenants" -}}
{{- if not $tenants.enabled }}
{{- if $tenants.quotas }}
{{ $at }}.quotas: is used with {{ $at }}.enabled only
{{- end }}
{{- if $tenants.encryption.enabled }}
{{ $at }}.encryption.enabled: is used with {{ $at }}.enabled only
{{- end }}
{{- else if not $lmcache.enabled }}
{{ $at }}.enabled: is about LMCache, but lmcache.enabled is false; vLLM's own prefix cache heeds cache_salt by itself
{{- else if ne $lmcache.mode "multiprocess" }}
{{ $at }}.enabled: LMCache in mode {{ $lmcache.mode }} leaves cache_salt out of its keys, so tenants would share chunks; use lmcache.mode multiprocess
{{- else }}
{{- range list "kv_connector" "kv_connector_module_path" }}
{{- if hasKey $lmcache.kvTransferConfig . }}
lmcache.kvTransferConfig.{{ . }}: another connector would not name tenants as {{ $at }} does; remove it
{{- end }}
{{- end }}
{{- include "lmcache-kserve.validate.lmcache.tenants.quotas" . }}
{{- include "lmcache-kserve.validate.lmcache.tenants.encryption" . }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcache.tenants.quotas" -}}
{{- $l1 := .Values.lmcache.multiprocess.l1 -}}
{{- $at := "lmcache.tenants.quotas" -}}
{{- $places := dict -}}
{{- $sum := 0.0 -}}
{{- range $index, $quota := .Values.lmcache.tenants.quotas }}
{{- $sum = addf $sum (include "lmcache-kserve.number" $quota.sizeGB | float64) -}}
{{- if and (hasPrefix "sha256:" $quota.salt) (not (regexMatch "^sha256:[0-9a-f]{32,64}$" $quota.salt)) }}
{{ $at }}[{{ $index }}].salt: sha256: stands before the SHA-256 of a salt, 32 to 64 digits of 0-9 and a-f
{{- else }}
{{- $name := include "lmcache-kserve.tenants.name" $quota.salt }}
{{- with get $places $name }}
{{ $at }}[{{ $index }}].salt: is the salt of {{ $at }}{{ . }} too; give each tenant one quota
{{- else }}
{{- $_ := set $places $name (printf "[%d]" $index) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.lmcache.tenants.quotas }}
{{- if gt $sum (include "lmcache-kserve.number" $l1.sizeGB | float64) }}
{{ $at }}: have {{ $sum }} GiB together, more than the {{ toJson $l1.sizeGB }} GiB of lmcache.multiprocess.l1.sizeGB
{{- end }}
{{- if ne $l1.evictionPolicy "LRU" }}
lmcache.multiprocess.l1.evictionPolicy: {{ $l1.evictionPolicy }} evicts whatever tenant it belongs to; {{ $at }} needs LRU
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.validate.lmcache.tenants.encryption" -}}
{{- $encryption := .Values.lmcache.tenants.encryption -}}
{{- $at := "lmcache.tenants.encryption" -}}
{{- if $encryption.enabled }}
{{- with include "lmcache-kserve.versions.lacks" (list . "server" "encryption") }}
{{ $at }}.enabled: {{ . }}; use a newer image, such as lmcache/vllm-openai:v0.5.6 with runtime.server vllm
{{- end }}
{{- if not $encryption.existingSecret }}
{{ $at }}.existingSecret: is required: the Secret with the master key
{{- end }}
{{- if eq .Values.remoteBackend.type "none" }}
{{ $at }}.enabled: LMCache encrypts what goes to a backend, but remoteBackend.type is none
{{- end }}
{{- if include "lmcache-kserve.lmcache.disk" . }}
{{ $at }}.enabled: does not encrypt the disk tier, which would hold the same chunks; set lmcache.localDisk.enabled to false
{{- end }}
{{- end }}
{{- end }}
