{{/*
The identity of a model, which keeps the chunks of different models apart in a shared backend. LMCache's keys are
`model@workers@worker@chunk hash@dtype` (0.5.6, lmcache/utils.py). There, `model` is only the path that the server got:
/mnt/models for every model of KServe's storage initializer, and the same id for every revision and quantization. The hash of
a chunk chains the hashes before it. vLLM derives the first hash from PYTHONHASHSEED (vllm/v1/core/kv_cache_utils.py,
init_none_hash, since 0.10). The chart therefore computes the seed from everything that decides what a KV cache holds. Replicas
of one model agree on the seed, and another model finds nothing, whatever its path.
*/}}

{{/*
Options of the server that change what is in the KV cache. The number of workers is in the key, but not how they split the
model. Chunk size and hash algorithm change the hashes by themselves. JSON list.
*/}}
{{- define "lmcache-kserve.identity.options" -}}
{{- list
      "--revision" "--model-revision" "--code-revision"
      "--dtype" "--quantization" "-q" "--quantization-config"
      "--kv-cache-dtype" "--kv-cache-dtype-skip-layers" "--calculate-kv-scales"
      "--load-format" "--config-format" "--hf-config-path" "--hf-overrides" "--model-class-overrides" "--model-impl"
      "--rope-scaling" "--rope-theta" "--disable-sliding-window" "--mm-processor-kwargs"
      "--lora-modules"
      "--speculative-config" "-sc" "--spec-method" "--spec-model" "--spec-tokens"
      "--pipeline-parallel-size" "-pp" "--prefill-context-parallel-size" "-pcp"
      "--decode-context-parallel-size" "-dcp" | toJson -}}
{{- end }}

{{/*
The user's arguments among these options, each with its values, in sorted order. `--option value`, `--option=value` and
underscores count as one spelling. JSON list.
*/}}
{{- define "lmcache-kserve.identity.arguments" -}}
{{- $options := include "lmcache-kserve.identity.options" . | fromJsonArray -}}
{{- $found := list -}}
{{- $current := "" -}}
{{- range .Values.model.extraArgs -}}
  {{- if regexMatch "^--?[A-Za-z]" . -}}
    {{- if $current }}{{ $found = append $found $current }}{{ end -}}
    {{- $name := regexFind "^[^=]+" . | replace "_" "-" -}}
    {{- $value := trimPrefix (regexFind "^[^=]+" .) . | trimPrefix "=" -}}
    {{- $current = ternary (printf "%s %s" $name $value | trim) "" (has $name $options) -}}
  {{- else if $current -}}
    {{- $current = printf "%s %s" $current . -}}
  {{- end -}}
{{- end -}}
{{- if $current }}{{ $found = append $found $current }}{{ end -}}
{{- sortAlpha $found | toJson -}}
{{- end }}

{{/* Everything that decides what a KV cache holds. JSON dict. */}}
{{- define "lmcache-kserve.identity" -}}
{{- with .Values -}}
{{- $stored := "" -}}
{{- with dig "storage" "path" "" .model }}{{ $stored = printf "storage %s %s" (default "" $.Values.model.storage.key) . }}{{ end -}}
{{- $identity := dict
      "model" (coalesce .model.storageUri $stored .model.id)
      "maxModelLen" (default 0 .model.maxModelLen | int)
      "arguments" (include "lmcache-kserve.identity.arguments" $ | fromJsonArray)
      "salt" .lmcache.keySalt -}}
{{- /* What another key has encrypted, or none, cannot be read, and some backends would never replace it. */ -}}
{{- with include "lmcache-kserve.tenants.masterKey" $ }}{{ $_ := set $identity "masterKey" . }}{{ end -}}
{{- toJson $identity -}}
{{- end -}}
{{- end }}

{{/* PYTHONHASHSEED: the user's, or the first 32 bits of the identity's hash, the most that Python takes. */}}
{{- define "lmcache-kserve.identity.seed" -}}
{{- $seed := include "lmcache-kserve.string" .Values.lmcache.hashSeed -}}
{{- if ne $seed "" -}}
  {{- $seed -}}
{{- else -}}
  {{- include "lmcache-kserve.identity" . | sha256sum | trunc 8 | printf "0x%s" | int64 -}}
{{- end -}}
{{- end }}
