{{/*
What `helm test` runs. The pod is the only hook. Helm makes the pod anew for each run and then leaves the pod with its log,
because Helm 3 would delete it before `helm test --logs` reads the log. The script, the Service and the policy belong to the
release.
*/}}

{{- define "lmcache-kserve.tests.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "test") -}}
{{- end }}

{{/* The headless Service whose name resolves to the addresses of all replicas. */}}
{{- define "lmcache-kserve.tests.podsService" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "pods") -}}
{{- end }}

{{/*
What the test can expect: `shared` (a replica finds what another computed), `own` (a replica finds what it computed) or
`none`. lmcache.config may also name a remote backend.
*/}}
{{- define "lmcache-kserve.tests.reuse" -}}
{{- if not .Values.lmcache.enabled -}}
none
{{- else if ne "kv_both" (get (include "lmcache-kserve.lmcache.kvTransferConfig" . | fromJson) "kv_role" | toString) -}}
none
{{- else if or (ne .Values.remoteBackend.type "none") (hasKey (include "lmcache-kserve.lmcache.config" . | fromJson) "remote_url") -}}
shared
{{- else -}}
own
{{- end -}}
{{- end }}

{{/* Arguments of the script. Output: JSON list. */}}
{{- define "lmcache-kserve.tests.args" -}}
{{- $tests := .Values.tests -}}
{{- $scaling := .Values.predictor.autoscaling -}}
{{- $config := include "lmcache-kserve.lmcache.config" . | fromJson -}}
{{- $args := list
      (printf "--pods=%s.%s.svc:%d" (include "lmcache-kserve.tests.podsService" .) .Release.Namespace (int .Values.runtime.port))
      (printf "--service=%s/%s" .Release.Namespace (include "lmcache-kserve.fullname" .))
      (printf "--replicas=%d" (ternary (max 1 (int $scaling.minReplicas)) (int .Values.predictor.replicas) $scaling.enabled | int))
      (printf "--model=%s" .Values.model.name)
      (printf "--model-path=%s" (include "lmcache-kserve.predictor.modelPath" .))
      (printf "--openai-path=%s" (include "lmcache-kserve.predictor.openaiPath" .))
      (printf "--reuse=%s" (include "lmcache-kserve.tests.reuse" .))
      (printf "--backend=%s" .Values.remoteBackend.type)
      (printf "--chunk-size=%s" (include "lmcache-kserve.lmcache.chunkSize" .))
      (printf "--chunks=%d" (int $tests.promptChunks))
      (printf "--pairs=%d" (int $tests.pairs))
      (printf "--timeout=%d" (int $tests.timeoutSeconds)) -}}
{{- if $scaling.enabled }}{{ $args = append $args "--or-more" }}{{ end -}}
{{- with include "lmcache-kserve.backend.ask" (list . "endpoint") }}{{ $args = append $args (printf "--endpoint=%s" .) }}{{ end -}}
{{- with .Values.model.maxModelLen }}{{ $args = append $args (printf "--context=%d" (int .)) }}{{ end -}}
{{- with .Values.model.kvBytesPerToken }}{{ $args = append $args (printf "--kv-bytes=%d" (int .)) }}{{ end -}}
{{- if eq "cachegen" (get $config "remote_serde" | toString) }}{{ $args = append $args "--lossy" }}{{ end -}}
{{- toJson $args -}}
{{- end }}

{{/* Near a replica, because that node has already pulled the predictor's large image. Output: YAML. */}}
{{- define "lmcache-kserve.tests.affinity" -}}
podAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "lmcache-kserve.predictor.podSelector" . | nindent 12 }}
{{- end }}

{{/* The server's API key, where the predictor's environment has one. Output: JSON list of variables. */}}
{{- define "lmcache-kserve.tests.env" -}}
{{- $key := include "lmcache-kserve.predictor.apiKey" . -}}
{{- with $key }}{{ include "lmcache-kserve.mergeEnv" (list (list (fromJson .))) }}{{ else }}[]{{ end -}}
{{- end }}

{{/*
Whole Secrets of the predictor's environment, one of which may hold the API key of vLLM's own server. ConfigMaps hold no key.
Output: JSON list.
*/}}
{{- define "lmcache-kserve.tests.envFrom" -}}
{{- $sources := list -}}
{{- if and (eq .Values.runtime.server "vllm") (not (include "lmcache-kserve.predictor.apiKey" .)) -}}
  {{- range get .Values.predictor "envFrom" | default list }}{{ if .secretRef }}{{ $sources = append $sources . }}{{ end }}{{ end -}}
{{- end -}}
{{- toJson $sources -}}
{{- end }}

{{/*
The policy of a pod that sends requests to the replicas: of `helm test`, or of the warm-up.
Input: dict "context" $ "name" "..." "component" "test".
*/}}
{{- define "lmcache-kserve.tests.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "lmcache-kserve.metadata" . }}
spec:
  podSelector:
    matchLabels:
      {{- include "lmcache-kserve.labels.selector" . | nindent 6 }}
  # Ingress without a rule: nobody connects to the test.
  policyTypes:
    - Ingress
    - Egress
  {{- with include "lmcache-kserve.networkPolicy.extra" (dict "context" .context "part" "test" "direction" "extraIngress") }}
  ingress:
    {{- . | nindent 4 }}
  {{- end }}
  egress:
    {{- include "lmcache-kserve.networkPolicy.dns" . | nindent 4 }}
    - ports:
        - port: {{ int .context.Values.runtime.port }}
          protocol: TCP
      to:
        {{- include "lmcache-kserve.networkPolicy.peer" (dict "context" .context "component" "predictor") | nindent 8 }}
    {{- with include "lmcache-kserve.networkPolicy.extra" (dict "context" .context "part" "test" "direction" "extraEgress") }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}
