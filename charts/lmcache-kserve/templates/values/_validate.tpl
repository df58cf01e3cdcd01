{{/*
Rules for values of one kind, wherever they stand: text that YAML reads as a Boolean, and credentials where an object shows them.
*/}}

{{- define "lmcache-kserve.validate.values" -}}
{{- if eq "false" (get .Values "enabled" | toString) }}
enabled: false reached the chart, so no parent chart decides by it; add `condition: NAME.enabled` to the dependency, or remove the value
{{- end }}
{{- range list "texts" "environments" "settings" "arguments" "urls" "objects" }}
{{- include (printf "lmcache-kserve.validate.values.%s" .) $ }}
{{- end }}
{{- end }}

{{/* One of extraObjects with its templates evaluated. Input: list $ and the object, or its text. Output: YAML documents. */}}
{{- define "lmcache-kserve.values.extraObject" -}}
{{- $object := last . -}}
{{- tpl (ternary $object (toYaml $object) (kindIs "string" $object)) (first .) -}}
{{- end }}

{{/* Helm says of a text that is no object only that it cannot be decoded. A template may leave nothing of a text. */}}
{{- define "lmcache-kserve.validate.values.objects" -}}
{{- range $index, $object := .Values.extraObjects }}
{{- range regexSplit "(?m)^---.*$" (include "lmcache-kserve.values.extraObject" (list $ $object)) -1 }}
{{- $read := fromYaml . }}
{{- if and $read (not (and (hasKey $read "apiVersion") (hasKey $read "kind"))) }}
extraObjects[{{ $index }}]: is no object; each one needs apiVersion, kind and metadata, as YAML or as text of that YAML
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Values that are made of text and numbers only. */}}
{{- define "lmcache-kserve.validate.values.texts" -}}
{{- range $path := list
      "kserve.annotations" "kserve.labels" "predictor.nodeSelector" "predictor.tolerations" "predictor.affinity"
      "predictor.topologySpreadConstraints" "predictor.podLabels" "predictor.podAnnotations"
      "lmcache.multiprocess.daemonset.nodeSelector" "lmcache.multiprocess.daemonset.tolerations"
      "lmcache.multiprocess.daemonset.affinity" "lmcache.multiprocess.daemonset.podLabels"
      "lmcache.multiprocess.daemonset.podAnnotations" "remoteBackend.pod.nodeSelector" "remoteBackend.pod.tolerations"
      "remoteBackend.pod.affinity" "remoteBackend.pod.podLabels" "remoteBackend.pod.podAnnotations" "tests.podLabels"
      "tests.podAnnotations" "warmup.podLabels" "warmup.podAnnotations" }}
{{- range include "lmcache-kserve.moved.value" (dict "context" $ "path" $path) | printf "[%s]" | fromJsonArray }}
{{- include "lmcache-kserve.validate.noBoolean" (dict "path" $path "value" .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Input: dict "path" "predictor.nodeSelector" "value" anything. */}}
{{- define "lmcache-kserve.validate.noBoolean" -}}
{{- if kindIs "bool" .value }}
{{ .path }}: is the Boolean {{ .value }}, but has to be text; quote the word that you mean, such as "yes" or "true" (`--set-string`)
{{- else if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- include "lmcache-kserve.validate.noBoolean" (dict "path" (printf "%s.%s" $.path $key) "value" $value) }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $index, $value := .value }}
{{- include "lmcache-kserve.validate.noBoolean" (dict "path" (printf "%s[%d]" $.path $index) "value" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment variables, of every container whose variables a user may give. */}}
{{- define "lmcache-kserve.validate.values.environments" -}}
{{- $lists := dict "predictor.env" .Values.predictor.env -}}
{{- range $kind := list "initContainers" "sidecars" -}}
  {{- range $index, $container := get $.Values.predictor $kind -}}
    {{- $_ := set $lists (printf "predictor.%s[%d].env" $kind $index) $container.env -}}
  {{- end -}}
{{- end -}}
{{- if include "lmcache-kserve.multiprocess" . }}{{ $_ := set $lists "lmcache.multiprocess.env" .Values.lmcache.multiprocess.env }}{{ end -}}
{{- if eq .Values.remoteBackend.type "custom" }}{{ $_ := set $lists "remoteBackend.custom.env" .Values.remoteBackend.custom.env }}{{ end -}}
{{- range $path, $variables := $lists }}
{{- range $index, $variable := $variables }}
{{- $at := printf "%s[%d] (%s)" $path $index $variable.name }}
{{- $text := include "lmcache-kserve.string" $variable.value }}
{{- $named := regexMatch "(?i)(^|_)(password|passwd|passphrase|secret|(secret_|secret_access_|access_|api_|account_)key|apikey|token)$" $variable.name }}
{{- $chart := has $variable.name (list "LMCACHE_RESP_PASSWORD" "REMOTE_BACKEND_PASSWORD") }}
{{- if kindIs "bool" $variable.value }}
{{ $at }}: its value is the Boolean {{ $variable.value }}; quote it, so that the container gets the text that you mean
{{- else if and (hasKey $variable "value") (not (contains "$(" $text)) }}
{{- if or (and $named $text (not $chart)) (include "lmcache-kserve.values.hasCredential" $text) }}
{{- include "lmcache-kserve.validate.credential" (dict "path" $at "advice" "put it into a Secret and use valueFrom.secretKeyRef") }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Free-form settings, which stand in a ConfigMap, in an argument or in the environment. */}}
{{- define "lmcache-kserve.validate.values.settings" -}}
{{- $key := include "lmcache-kserve.backend.valuesKey" . -}}
{{- $secret := "use remoteBackend with auth.existingSecret" -}}
{{- $place := "set it to \"%REMOTE_BACKEND_PASSWORD%\" and use remoteBackend.custom.auth, or env" -}}
{{- $settings := dict "lmcache.config" .Values.lmcache.config "lmcache.kvTransferConfig" .Values.lmcache.kvTransferConfig -}}
{{- $_ := set $settings (printf "remoteBackend.%s.config" $key) (dig $key "config" dict .Values.remoteBackend) -}}
{{- range $path, $values := $settings }}
{{- $advice := ternary $place $secret (eq $path "remoteBackend.custom.config") }}
{{- include "lmcache-kserve.validate.noCredential" (dict "path" $path "value" $values "advice" $advice) }}
{{- end }}
{{- end }}

{{/* Input: dict "path" "lmcache.config" "value" anything "advice" "...". */}}
{{- define "lmcache-kserve.validate.noCredential" -}}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- $path := printf "%s.%s" $.path $key }}
{{- $text := kindIs "string" $value | ternary (toString $value) "" }}
{{- $named := regexMatch "(?i)(^|[_.-])(password|passwd|passphrase|secret|(secret|access|account|api)_?key|secret_access_key|token|credentials?)$" $key }}
{{- if and $named $text (not (regexMatch `^%REMOTE_BACKEND_[A-Z]+%$|\$\(` $text)) }}
{{- include "lmcache-kserve.validate.credential" (dict "path" $path "advice" $.advice) }}
{{- else }}
{{- include "lmcache-kserve.validate.noCredential" (dict "path" $path "value" $value "advice" $.advice) }}
{{- end }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $index, $value := .value }}
{{- include "lmcache-kserve.validate.noCredential" (dict "path" (printf "%s[%d]" $.path $index) "value" $value "advice" $.advice) }}
{{- end }}
{{- else if include "lmcache-kserve.values.hasCredential" (include "lmcache-kserve.string" .value) }}
{{- include "lmcache-kserve.validate.credential" . }}
{{- end }}
{{- end }}

{{/* Arguments, which stand in the object and in the list of processes. */}}
{{- define "lmcache-kserve.validate.values.arguments" -}}
{{- $lists := dict "model.extraArgs" .Values.model.extraArgs "runtime.command" .Values.runtime.command -}}
{{- if include "lmcache-kserve.multiprocess" . -}}
  {{- $_ := set $lists "lmcache.multiprocess.extraArgs" .Values.lmcache.multiprocess.extraArgs -}}
{{- end -}}
{{- $places := dict "--hf-token" "use huggingFace.existingSecret" "--api-key" "set VLLM_API_KEY in predictor.env, from a Secret" -}}
{{- range $path, $words := $lists }}
{{- $variables := ternary "lmcache.multiprocess.env" "predictor.env" (hasPrefix "lmcache." $path) }}
{{- range $index, $word := $words }}
{{- $option := regexFind "^--[A-Za-z0-9_-]+" $word | replace "_" "-" | lower }}
{{- $following := concat (slice $words (add1 $index | int)) (list "--") | first }}
{{- $given := or (contains "=" $word) (not (hasPrefix "--" $following)) }}
{{- $named := regexMatch "^--(.+-)?(password|passwd|passphrase|secret|token|(secret|access|api|account)-key)$" $option }}
{{- if or (and $named $given) (include "lmcache-kserve.values.hasCredential" $word) }}
{{- $advice := get $places $option | default (printf "give it as a variable from a Secret, in %s" $variables) }}
{{- include "lmcache-kserve.validate.credential" (dict "path" (printf "%s[%d]" $path $index) "advice" $advice) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Addresses that may carry a user and a password. */}}
{{- define "lmcache-kserve.validate.values.urls" -}}
{{- if include "lmcache-kserve.values.hasCredential" .Values.model.storageUri }}
{{- $advice := "use the Secret of predictor.serviceAccountName, as KServe's documentation describes" }}
{{- include "lmcache-kserve.validate.credential" (dict "path" "model.storageUri" "advice" $advice) }}
{{- end }}
{{- $metadata := .Values.remoteBackend.mooncake.external.metadataServer }}
{{- if and (eq .Values.remoteBackend.type "mooncake") (include "lmcache-kserve.values.hasCredential" $metadata) }}
{{- $advice := "Mooncake has no other place for it, so use a metadata server without a password" }}
{{- include "lmcache-kserve.validate.credential" (dict "path" "remoteBackend.mooncake.external.metadataServer" "advice" $advice) }}
{{- end }}
{{- end }}

{{/*
Whether a text has a credential that is known by its form: a URL with a password, a token of Hugging Face, a secret in JSON.
Input: text. Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.values.hasCredential" -}}
{{- $url := `://[^/@\s:]*:[^/@\s]+@` -}}
{{- $json := `(?i)"[^"]*(password|passphrase|secret|token|(access|account|api)_?key)"\s*:\s*"[^"%$]` -}}
{{- if regexMatch (printf `%s|\bhf_[A-Za-z0-9]{16,}|%s` $url $json) . }}true{{ end -}}
{{- end }}

{{/* Input: dict "path" "..." "advice" "...". */}}
{{- define "lmcache-kserve.validate.credential" }}
{{ .path }}: is a credential, which everybody who reads the object would see; {{ .advice }}
{{- end }}
