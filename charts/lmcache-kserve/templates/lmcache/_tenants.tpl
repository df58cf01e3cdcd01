{{/*
Tenants: requests with different `cache_salt`, in mode multiprocess. LMCache has the salt in its keys there. files/salts.py puts a
hash in its place, and files/tenant_mp_server.py keeps a tenant from what belongs to another in the server's memory.
*/}}

{{/* Whether the release knows tenants. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.tenants" -}}
{{- if and (include "lmcache-kserve.multiprocess" .) .Values.lmcache.tenants.enabled }}true{{ end -}}
{{- end }}

{{/* Whether the server's memory is divided. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.tenants.divided" -}}
{{- if and (include "lmcache-kserve.tenants" .) .Values.lmcache.tenants.quotas }}true{{ end -}}
{{- end }}

{{/* The name of a tenant: the first 32 digits of the salt's SHA-256, as in files/salts.py. Input: `salt` or `sha256:HASH`. */}}
{{- define "lmcache-kserve.tenants.name" -}}
{{- if hasPrefix "sha256:" . }}{{ trimPrefix "sha256:" . | trunc 32 }}{{ else }}{{ sha256sum . | trunc 32 }}{{ end -}}
{{- end }}

{{/* Bytes of the server's memory by tenant. Output: JSON dict. */}}
{{- define "lmcache-kserve.tenants.quotas" -}}
{{- $quotas := dict -}}
{{- range .Values.lmcache.tenants.quotas -}}
  {{- $bytes := include "lmcache-kserve.number" .sizeGB | float64 | mulf 1073741824.0 | int64 -}}
  {{- $_ := set $quotas (include "lmcache-kserve.tenants.name" .salt) $bytes -}}
{{- end -}}
{{- toJson $quotas -}}
{{- end }}

{{/* Bytes of the server's memory that no quota takes. */}}
{{- define "lmcache-kserve.tenants.rest" -}}
{{- $rest := include "lmcache-kserve.number" .Values.lmcache.multiprocess.l1.sizeGB | float64 | mulf 1073741824.0 -}}
{{- range include "lmcache-kserve.tenants.quotas" . | fromJson }}{{ $rest = subf $rest . }}{{ end -}}
{{- int64 $rest -}}
{{- end }}

{{/* Where the master key comes from. Output: "secret/key", or nothing where nothing is encrypted. */}}
{{- define "lmcache-kserve.tenants.masterKey" -}}
{{- $encryption := .Values.lmcache.tenants.encryption -}}
{{- if and (include "lmcache-kserve.tenants" .) $encryption.enabled -}}
{{ default "" $encryption.existingSecret }}/{{ default "master-key" $encryption.existingSecretKey }}
{{- end -}}
{{- end }}

{{- define "lmcache-kserve.tenants.path" -}}
/etc/lmcache-tenants
{{- end }}

{{/* The backend's adapter, which encrypts where the user wants it: LMCache reads the key from a file. Output: JSON dict, or nothing. */}}
{{- define "lmcache-kserve.tenants.adapter" -}}
{{- $adapter := include "lmcache-kserve.backend.ask" (list . "l2Adapter") -}}
{{- if and $adapter (include "lmcache-kserve.tenants.masterKey" .) -}}
  {{- $file := printf "%s/master-key" (include "lmcache-kserve.tenants.path" .) -}}
  {{- $workers := int .Values.lmcache.multiprocess.l2Workers -}}
  {{- $serde := dict "type" "aesgcm" "aes_bits" 256 "master_key_path" $file "max_workers" $workers -}}
  {{- $adapter = merge (dict "serde" $serde) (fromJson $adapter) | toJson -}}
{{- end -}}
{{- $adapter -}}
{{- end }}

{{/* The volume with the master key, for the server alone. Output: YAML list. */}}
{{- define "lmcache-kserve.tenants.volumes" -}}
{{- with include "lmcache-kserve.tenants.masterKey" . }}
- name: lmcache-master-key
  secret:
    secretName: {{ splitList "/" . | first | quote }}
    items:
      - key: {{ splitList "/" . | last | quote }}
        path: master-key
{{- end }}
{{- end }}

{{- define "lmcache-kserve.tenants.volumeMounts" -}}
{{- if include "lmcache-kserve.tenants.masterKey" . }}
- name: lmcache-master-key
  mountPath: {{ include "lmcache-kserve.tenants.path" . }}
  readOnly: true
{{- end }}
{{- end }}
