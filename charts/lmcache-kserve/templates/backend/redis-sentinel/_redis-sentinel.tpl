{{/*
Redis with a replacement for a master that fails: nodes that copy a master, Sentinels that choose another one, and a proxy
that follows it. LMCache's own client for Sentinel (`redis-sentinel://`) does not work in 0.5.6, so LMCache is given the
proxy's address as a plain Redis (`redis://`). The external form deploys the proxy alone.

  redis     a StatefulSet of nodes (_redis.tpl)
  sentinel  a StatefulSet of Sentinels (_sentinel.tpl): apart from the nodes, so that one of them outlives a node that runs
            out of memory, is evicted or gets another configuration
  proxy     a Deployment of HAProxy (_proxy.tpl)

What the three have in common is here. Their pods carry the part as label `lmcache-kserve/part`.
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.deployed" -}}
{{- include "lmcache-kserve.resp.deployed" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.endpoint" -}}
{{- include "lmcache-kserve.resp.endpoint" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.ports" -}}
{{- include "lmcache-kserve.resp.ports" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.credentials" -}}
{{- include "lmcache-kserve.resp.credentials" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.config" -}}
{{- include "lmcache-kserve.resp.config" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.module" }}{{ end }}
{{- define "lmcache-kserve.backend.redis-sentinel.env" -}}
{{- include "lmcache-kserve.resp.env" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.volumes" }}{{ end }}
{{- define "lmcache-kserve.backend.redis-sentinel.volumeMounts" }}{{ end }}
{{- define "lmcache-kserve.backend.redis-sentinel.l2Adapter" -}}
{{- include "lmcache-kserve.resp.l2Adapter" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.l2Env" -}}
{{- include "lmcache-kserve.resp.l2Env" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.secretChecksum" -}}
{{- include "lmcache-kserve.resp.secretChecksum" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}
{{- define "lmcache-kserve.backend.redis-sentinel.generatedPassword" -}}
{{- include "lmcache-kserve.resp.generatedPassword" (dict "context" . "type" "redis-sentinel") -}}
{{- end }}

{{- define "lmcache-kserve.backend.redis-sentinel.problems" -}}
{{- include "lmcache-kserve.resp.problems" (dict "context" . "type" "redis-sentinel") }}
{{- $values := .Values.remoteBackend.redisSentinel -}}
{{- $sentinel := $values.sentinel -}}
{{- if $values.deploy }}
{{- if $values.external.sentinels }}
remoteBackend.redisSentinel.external.sentinels: works with external servers only; set remoteBackend.redisSentinel.deploy to false and name them
{{- end }}
{{- if gt (int $sentinel.quorum) (int $sentinel.replicas) }}
remoteBackend.redisSentinel.sentinel.quorum: {{ int $sentinel.quorum }} is more than there are Sentinels, {{ int $sentinel.replicas }}
{{- end }}
{{- if eq (mod (int $sentinel.replicas) 2) 0 }}
remoteBackend.redisSentinel.sentinel.replicas: must be odd; of {{ int $sentinel.replicas }} Sentinels as many may fail as of {{ sub (int $sentinel.replicas) 1 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.backend.redis-sentinel.notes" -}}
{{- $namespace := .Release.Namespace -}}
{{- if include "lmcache-kserve.backend.redis-sentinel.deployed" . -}}
{{- $node := include "lmcache-kserve.backend.redis-sentinel.name" (dict "context" . "part" "redis") -}}
kubectl exec -n {{ $namespace }} statefulset/{{ include "lmcache-kserve.backend.redis-sentinel.name" (dict "context" . "part" "sentinel") }} -- redis-cli -p 26379 sentinel get-master-addr-by-name {{ .Values.remoteBackend.redisSentinel.masterName }}
for NODE in {{ until (int .Values.remoteBackend.redisSentinel.replicas) | join " " }}; do kubectl exec -n {{ $namespace }} {{ $node }}-$NODE -- redis-cli dbsize; done
{{- else -}}
kubectl port-forward -n {{ $namespace }} service/{{ include "lmcache-kserve.resp.name" (dict "context" . "type" "redis-sentinel") }} 6379 & sleep 3; redis-cli --askpass dbsize
{{- end -}}
{{- end }}

{{/* Whether it is the chosen type: then there is a proxy. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.chosen" -}}
{{- if eq .Values.remoteBackend.type "redis-sentinel" }}true{{ end -}}
{{- end }}

{{/* Whether the chart deploys it and it is the chosen type. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.rendered" -}}
{{- if and (include "lmcache-kserve.backend.redis-sentinel.chosen" .) .Values.remoteBackend.redisSentinel.deploy }}true{{ end -}}
{{- end }}

{{/*
Name of the objects of a part. None is a name of type redis, of which a Service is of another kind and a StatefulSet has
other labels: neither can be changed, and so neither could the type.
Input: dict "context" $ "part" "redis".
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.name" -}}
{{- $suffix := get (dict "redis" "redis-node" "sentinel" "sentinel" "proxy" "redis-proxy") .part -}}
{{- include "lmcache-kserve.names.of" (dict "context" .context "suffix" $suffix) -}}
{{- end }}

{{- define "lmcache-kserve.backend.redis-sentinel.port" -}}
{{- get (dict "redis" "6379" "sentinel" "26379" "proxy" "6379") .part -}}
{{- end }}

{{/* Labels that select the pods of a part. Input: dict "context" $ "part" "redis". */}}
{{- define "lmcache-kserve.backend.redis-sentinel.selector" -}}
{{ include "lmcache-kserve.labels.selector" (dict "context" .context "component" "remote-backend") }}
lmcache-kserve/part: {{ .part }}
{{- end }}

{{- define "lmcache-kserve.backend.redis-sentinel.metadata" -}}
{{ include "lmcache-kserve.metadata" (dict
      "context" .context
      "name" (include "lmcache-kserve.backend.redis-sentinel.name" .)
      "component" "remote-backend"
      "labels" (dict "lmcache-kserve/part" .part)) }}
{{- end }}

{{/*
Name of a pod in DNS, and port: the same for every pod that takes this place. With the cluster's domain, because HAProxy
knows no search domains.
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
What the user chooses for the pods of all parts, with the part's label and, unless there is an affinity of the user's, its
spread over the nodes. Input: dict "context" $ "part" "redis". Output: JSON dict for lmcache-kserve.workload.*.
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.podValues" -}}
{{- $values := .context.Values.remoteBackend.redisSentinel -}}
{{- $pod := pick $values "affinity" "nodeSelector" "podAnnotations" "podSecurityContext" "priorityClassName" "tolerations" -}}
{{- $_ := set $pod "podLabels" (merge (dict "lmcache-kserve/part" .part) $values.podLabels) -}}
{{- if eq .part "proxy" }}{{ $_ := set $pod "podSecurityContext" $values.proxy.podSecurityContext }}{{ end -}}
{{- if and (not $values.affinity) (ne $values.podAntiAffinity "none") -}}
  {{- $term := dict
        "topologyKey" "kubernetes.io/hostname"
        "labelSelector" (dict "matchLabels" (include "lmcache-kserve.backend.redis-sentinel.selector" . | fromYaml)) -}}
  {{- $rule := dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term)) -}}
  {{- if eq $values.podAntiAffinity "hard" -}}
    {{- $rule = dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term) -}}
  {{- end -}}
  {{- $_ := set $pod "affinity" (dict "podAntiAffinity" $rule) -}}
{{- end -}}
{{- toJson $pod -}}
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
      name: {{ include "lmcache-kserve.resp.secretName" (dict "context" .context "type" "redis-sentinel") }}
      key: {{ include "lmcache-kserve.resp.secretKey" (dict "context" .context "type" "redis-sentinel") }}
{{- end }}
{{- end }}

{{/* Checksums of a part's pods: what restarts them. Input: dict "context" $ "files" (list of texts). Output: JSON dict. */}}
{{- define "lmcache-kserve.backend.redis-sentinel.checksums" -}}
{{- $checksums := dict "checksum/config" (join "\n" .files | sha256sum) -}}
{{- with include "lmcache-kserve.backend.redis-sentinel.secretChecksum" .context }}{{ $_ := set $checksums "checksum/password" . }}{{ end -}}
{{- toJson $checksums -}}
{{- end }}

{{/*
The headless Service that names the pods of a part, also while they are not ready: they have to find each other first.
Input: dict "context" $ "part" "redis".
*/}}
{{- define "lmcache-kserve.backend.redis-sentinel.headlessService" -}}
apiVersion: v1
kind: Service
{{ include "lmcache-kserve.backend.redis-sentinel.metadata" . }}
spec:
  type: ClusterIP
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "lmcache-kserve.backend.redis-sentinel.selector" . | nindent 4 }}
  ports:
    - name: {{ .part }}
      port: {{ include "lmcache-kserve.backend.redis-sentinel.port" . }}
      targetPort: {{ .part }}
      protocol: TCP
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
      {{- include "lmcache-kserve.backend.redis-sentinel.selector" . | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    {{- with .from }}
    - from:
        {{- range . }}
        - podSelector:
            matchLabels:
              {{- include "lmcache-kserve.backend.redis-sentinel.selector" (dict "context" $.context "part" .) | nindent 14 }}
        {{- end }}
      ports:
        - port: {{ include "lmcache-kserve.backend.redis-sentinel.port" $ }}
          protocol: TCP
    {{- end }}
    {{- with .ingress }}
    {{- . | nindent 4 }}
    {{- end }}
  egress:
    # Names of pods.
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
    {{- range .to }}
    - to:
        - podSelector:
            matchLabels:
              {{- include "lmcache-kserve.backend.redis-sentinel.selector" (dict "context" $.context "part" .) | nindent 14 }}
      ports:
        - port: {{ include "lmcache-kserve.backend.redis-sentinel.port" (dict "part" .) }}
          protocol: TCP
    {{- end }}
    {{- with .egress }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}
