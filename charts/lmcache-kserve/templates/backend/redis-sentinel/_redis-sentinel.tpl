{{/*
Redis with a replacement for a master that fails: nodes that copy a master, Sentinels that choose another one, and a proxy
that follows the master. LMCache's own client for Sentinel (`redis-sentinel://`) does not work in 0.5.6, so LMCache gets the
proxy's address as a plain Redis (`redis://`). The external form deploys the proxy alone.

  redis     a StatefulSet of nodes (_redis.tpl)
  sentinel  a StatefulSet of Sentinels (_sentinel.tpl). They run apart from the nodes, so that a Sentinel outlives a node that
            runs out of memory, is evicted or gets another configuration
  proxy     a Deployment of HAProxy (_proxy.tpl)

What the three have in common is here. Their pods carry the part as label `lmcache-kserve/part`.
*/}}

{{- define "lmcache-kserve.backend.redis-sentinel.answers" -}}
redis-sentinel: [metrics, notes, problems]
resp: [capacity, config, credentials, endpoint, env, generatedPassword, l2Adapter, l2Env, l2Module, module, ports, secretChecksum]
{{- end }}

{{/* The proxy's, which also serves its health there, and those of the exporters. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.metrics" -}}
{{- $served := list (dict "port" "health" "part" "proxy") -}}
{{- if include "lmcache-kserve.backend.resp.exported" . -}}
  {{- $served = concat $served (list (dict "port" "metrics" "part" "redis") (dict "port" "metrics" "part" "sentinel")) -}}
{{- end -}}
{{- toJson $served -}}
{{- end }}

{{- define "lmcache-kserve.backend.redis-sentinel.notes" -}}
{{- $namespace := .Release.Namespace -}}
{{- $values := .Values.remoteBackend.redisSentinel -}}
{{- if $values.deploy -}}
{{- $node := include "lmcache-kserve.backend.redis-sentinel.name" (dict "context" . "part" "redis") -}}
{{- $sentinel := include "lmcache-kserve.backend.redis-sentinel.name" (dict "context" . "part" "sentinel") -}}
{{- $ask := printf "redis-cli -p 26379 sentinel get-master-addr-by-name %s" $values.masterName -}}
kubectl exec -n {{ $namespace }} statefulset/{{ $sentinel }} -- {{ $ask }}
{{- $nodes := until (int $values.replicas) | join " " }}
for NODE in {{ $nodes }}; do kubectl exec -n {{ $namespace }} {{ $node }}-$NODE -- redis-cli dbsize; done
{{- else -}}
kubectl port-forward -n {{ $namespace }} service/{{ include "lmcache-kserve.backend.name" . }} 6379 & sleep 3; redis-cli --askpass dbsize
{{- end -}}
{{- end }}

{{/*
Name of the objects of a part. The names differ from those of type redis, whose Service and StatefulSet have other fields that
Kubernetes does not let an upgrade change: so a release can change its type.
Input: dict "context" $ "part" "redis".
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.name" -}}
  {{- $suffix := get (dict "redis" "redis-node" "sentinel" "sentinel" "proxy" "redis-proxy") .part -}}
  {{- include "lmcache-kserve.names.of" (dict "context" .context "suffix" $suffix) -}}
{{- end }}

{{- define "lmcache-kserve.backend.redis-sentinel.port" -}}
{{- get (dict "redis" "6379" "sentinel" "26379" "proxy" "6379") .part -}}
{{- end }}

{{- define "lmcache-kserve.backend.redis-sentinel.metadata" -}}
{{ include "lmcache-kserve.metadata" (dict
      "context" .context
      "name" (include "lmcache-kserve.backend.redis-sentinel.name" .)
      "component" "remote-backend"
      "labels" (dict "lmcache-kserve/part" .part)) }}
{{- end }}

{{/*
Name of a pod in DNS, and port. A pod that takes the place of another has the same. The name ends in the cluster's domain,
because HAProxy knows no search domains.
Input: dict "context" $ "part" "redis" "pod" "...".
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.podAddress" -}}
  {{- printf "%s.%s.%s.svc.%s:%s"
        .pod
        (include "lmcache-kserve.backend.redis-sentinel.name" .)
        .context.Release.Namespace
        .context.Values.remoteBackend.redisSentinel.clusterDomain
        (include "lmcache-kserve.backend.redis-sentinel.port" .) -}}
{{- end }}

{{/* Addresses of all nodes or Sentinels. Input: dict "context" $ "part" "redis". Output: JSON list of host:port. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.addresses" -}}
  {{- $values := .context.Values.remoteBackend.redisSentinel -}}
  {{- $addresses := ternary $values.external.servers $values.external.sentinels (eq .part "redis") -}}
  {{- if $values.deploy -}}
    {{- $addresses = list -}}
    {{- range $ordinal := until (ternary $values.replicas $values.sentinel.replicas (eq .part "redis") | int) -}}
      {{- $pod := printf "%s-%d" (include "lmcache-kserve.backend.redis-sentinel.name" $) $ordinal -}}
      {{- $addresses = append $addresses (include "lmcache-kserve.backend.redis-sentinel.podAddress" (merge (dict "pod" $pod) $)) -}}
    {{- end -}}
  {{- end -}}
  {{- toJson $addresses -}}
{{- end }}

{{/*
The spread of a part's pods over the nodes of the cluster, for a user who chooses no affinity.
Input: dict "context" $ "part" "redis". Output: JSON dict.
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.affinity" -}}
  {{- $choice := .context.Values.remoteBackend.redisSentinel.podAntiAffinity -}}
  {{- $term := dict
        "topologyKey" "kubernetes.io/hostname"
        "labelSelector" (dict "matchLabels" (include "lmcache-kserve.backend.partSelector" . | fromYaml)) -}}
  {{- $affinity := dict -}}
  {{- if eq $choice "hard" -}}
    {{- $rules := dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term) -}}
    {{- $affinity = dict "podAntiAffinity" $rules -}}
  {{- else if eq $choice "soft" -}}
    {{- $preference := dict "weight" 100 "podAffinityTerm" $term -}}
    {{- $rules := dict "preferredDuringSchedulingIgnoredDuringExecution" (list $preference) -}}
    {{- $affinity = dict "podAntiAffinity" $rules -}}
  {{- end -}}
  {{- toJson $affinity -}}
{{- end }}

{{/* Environment of the scripts that ask who the master is. Input: dict "context" $ "part" "redis". */}}
{{- define "lmcache-kserve.backend.redis-sentinel.scriptEnv" -}}
{{- $values := .context.Values.remoteBackend.redisSentinel -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: SELF
  value: {{ include "lmcache-kserve.backend.redis-sentinel.podAddress" (merge (dict "pod" "$(POD_NAME)") .) | quote }}
- name: NODES
  value: {{ include "lmcache-kserve.backend.redis-sentinel.addresses" (merge (dict "part" "redis") .) | fromJsonArray | join " " | quote }}
- name: SENTINELS
  value: {{ include "lmcache-kserve.backend.redis-sentinel.addresses" (merge (dict "part" "sentinel") .) | fromJsonArray | join " " | quote }}
- name: MASTER_NAME
  value: {{ $values.masterName | quote }}
{{- if $values.auth.enabled }}
# The name by which the command-line client finds the password.
- name: REDISCLI_AUTH
  valueFrom:
    secretKeyRef:
      name: {{ include "lmcache-kserve.backend.resp.secretName" .context | quote }}
      key: {{ include "lmcache-kserve.backend.resp.secretKey" .context | quote }}
{{- end }}
{{- end }}

{{/* Checksums whose change restarts the pods of a part. Input: dict "context" $ "files" (list of texts). Output: JSON dict. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.checksums" -}}
  {{- $checksums := dict "checksum/config" (join "\n" .files | sha256sum) -}}
  {{- with include "lmcache-kserve.backend.resp.secretChecksum" .context }}{{ $_ := set $checksums "checksum/password" . }}{{ end -}}
  {{- toJson $checksums -}}
{{- end }}

{{/*
The policy of a part. Input: dict "context" $ "part" "redis" "from" (list of parts that connect to it) "to" (list of parts
that it connects to), optional "ingress" (YAML list of further rules) and "egress" (the same).
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "lmcache-kserve.backend.redis-sentinel.metadata" . }}
spec:
  podSelector:
    matchLabels:
      {{- include "lmcache-kserve.backend.partSelector" . | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    {{- with .from }}
    - from:
        {{- range . }}
        - podSelector:
            matchLabels:
              {{- include "lmcache-kserve.backend.partSelector" (dict "context" $.context "part" .) | nindent 14 }}
        {{- end }}
      ports:
        - port: {{ include "lmcache-kserve.backend.redis-sentinel.port" $ }}
          protocol: TCP
    {{- end }}
    {{- with .ingress }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "lmcache-kserve.networkPolicy.extra" (dict "context" .context "part" "backend" "direction" "extraIngress") }}
    {{- . | nindent 4 }}
    {{- end }}
  egress:
    # Names of pods.
    {{- include "lmcache-kserve.networkPolicy.dns" . | nindent 4 }}
    {{- range .to }}
    - to:
        - podSelector:
            matchLabels:
              {{- include "lmcache-kserve.backend.partSelector" (dict "context" $.context "part" .) | nindent 14 }}
      ports:
        - port: {{ include "lmcache-kserve.backend.redis-sentinel.port" (dict "part" .) }}
          protocol: TCP
    {{- end }}
    {{- with .egress }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "lmcache-kserve.networkPolicy.extra" (dict "context" .context "part" "backend" "direction" "extraEgress") }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}
