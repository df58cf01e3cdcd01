{{/*
Who connects to whom between the components of a release, for policies that let a connection in and for those that let it
out. The parts of redis-sentinel also connect to each other; backend/redis-sentinel/ says how.
*/}}

{{/*
Component whose pods connect to the remote backend: LMCache's server where each node has one, and otherwise the predictor,
whose pods hold LMCache or its sidecar.
*/}}
{{- define "lmcache-kserve.networkPolicy.backendClient" -}}
{{- ternary "cache-server" "predictor" (eq (include "lmcache-kserve.multiprocess.daemonset" .) "true") -}}
{{- end }}

{{/*
A peer: the pods of a component of the release.
Input: dict "context" $ "component" "predictor". Output: YAML list of one peer.
*/}}
{{- define "lmcache-kserve.networkPolicy.peer" -}}
- podSelector:
    matchLabels:
      {{- if eq .component "predictor" }}
      {{- include "lmcache-kserve.predictor.podSelector" .context | nindent 6 }}
      {{- else }}
      {{- include "lmcache-kserve.labels.selector" . | nindent 6 }}
      {{- end }}
{{- end }}

{{/* Peers that may connect to a deployed backend: its client and whoever the user names. Output: YAML list of peers. */}}
{{- define "lmcache-kserve.networkPolicy.backendClients" -}}
{{- include "lmcache-kserve.networkPolicy.peer" (dict "context" . "component" (include "lmcache-kserve.networkPolicy.backendClient" .)) }}
{{- with .Values.networkPolicy.backend.ingressFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name resolution. OpenShift's name servers listen at 5353 behind their Service. Output: YAML list of one rule. */}}
{{- define "lmcache-kserve.networkPolicy.dns" -}}
- ports:
    {{- range list 53 5353 }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}

{{/*
The user's further rules of one part, beside the chart's own. Every policy of the part has them.
Input: dict "context" $ "part" "predictor", "backend", "cacheServer", "cleaner" or "test" "direction" "extraIngress" or
"extraEgress". Output: YAML list of rules, or nothing.
*/}}
{{- define "lmcache-kserve.networkPolicy.extra" -}}
{{- with get (get .context.Values.networkPolicy .part) .direction }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/*
The same for targets of a part that the chart lets connect to nobody: such a part may not resolve names either, so the rule for
names comes along. Input: dict "context" $ "part" "backend". Output: YAML list of rules, or nothing.
*/}}
{{- define "lmcache-kserve.networkPolicy.extraTargets" -}}
{{- with include "lmcache-kserve.networkPolicy.extra" (dict "context" .context "part" .part "direction" "extraEgress") -}}
{{ include "lmcache-kserve.networkPolicy.dns" $ }}
{{ . }}
{{- end -}}
{{- end }}

{{/*
Outgoing connections of a component where networkPolicy.predictor.egress restricts them: name resolution, the backend or
the cache server in front of the backend, and the user's rules.
Input: dict "context" $ "component" "predictor" or "cache-server". Output: YAML list of rules.
*/}}
{{- define "lmcache-kserve.networkPolicy.egress" -}}
{{- $context := .context -}}
{{- $client := include "lmcache-kserve.networkPolicy.backendClient" $context -}}
{{- include "lmcache-kserve.networkPolicy.dns" . }}
{{- if eq .component $client }}
{{- with include "lmcache-kserve.backend.ask" (list $context "ports") | fromYamlArray }}
- ports:
    {{- include "lmcache-kserve.networkPolicy.ports" . | nindent 4 }}
  {{- if include "lmcache-kserve.backend.deployed" $context }}
  to:
    {{- include "lmcache-kserve.networkPolicy.peer" (dict "context" $context "component" "remote-backend") | nindent 4 }}
  {{- end }}
{{- end }}
{{- else }}
- ports:
    - port: {{ int $context.Values.lmcache.multiprocess.port }}
      protocol: TCP
  to:
    {{- include "lmcache-kserve.networkPolicy.peer" (dict "context" $context "component" $client) | nindent 4 }}
{{- end }}
{{ toYaml $context.Values.networkPolicy.predictor.egress }}
{{- $part := ternary "predictor" "cacheServer" (eq .component "predictor") -}}
{{- with include "lmcache-kserve.networkPolicy.extra" (dict "context" $context "part" $part "direction" "extraEgress") }}
{{ . }}
{{- end }}
{{- end }}

{{/*
Ports of a NetworkPolicy's rule.
Input: list of numbers, and of ranges such as "15000-15999". Output: YAML list.
*/}}
{{- define "lmcache-kserve.networkPolicy.ports" -}}
{{- range . }}
{{- $bounds := include "lmcache-kserve.string" . | splitList "-" }}
- port: {{ first $bounds | int }}
  {{- if gt (len $bounds) 1 }}
  endPort: {{ last $bounds | int }}
  {{- end }}
  protocol: TCP
{{- end }}
{{- end }}
