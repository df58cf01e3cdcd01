{{/*
The workers of one replica. Each holds a part of the model and has its own memory and disk tier, and each needs a GPU where the
replica has GPUs. vLLM multiplies: tensor x pipeline x prefill context x data parallel size. The first size is a value, the
others are arguments. The harness counts in the same way (src/lmcache_kserve/lmcache/arguments.py).
*/}}

{{/* What the user adds to the server's command line. Output: JSON list. */}}
{{- define "lmcache-kserve.workers.arguments" -}}
{{- concat .Values.runtime.command .Values.model.extraArgs | toJson -}}
{{- end }}

{{/* A parallel size among these words. Input: list of the root context and the option's names. Output: number, 1 without the option. */}}
{{- define "lmcache-kserve.workers.argued" -}}
{{- $arguments := include "lmcache-kserve.workers.arguments" (first .) | fromJsonArray -}}
{{- include "lmcache-kserve.arguments.value" (dict "arguments" $arguments "names" (rest .)) | int | max 1 -}}
{{- end }}

{{/* Parts into which each copy of the model is split, apart from the tensor parallel size. */}}
{{- define "lmcache-kserve.workers.stages" -}}
{{- mul
      (include "lmcache-kserve.workers.argued" (list . "--pipeline-parallel-size" "-pp") | int)
      (include "lmcache-kserve.workers.argued" (list . "--prefill-context-parallel-size" "-pcp") | int) -}}
{{- end }}

{{/* Copies of the model in one replica. A server that is one rank of others' data parallelism has one copy. */}}
{{- define "lmcache-kserve.workers.copies" -}}
{{- $arguments := include "lmcache-kserve.workers.arguments" . | fromJsonArray -}}
{{- $local := list "--data-parallel-size-local" "-dpl" -}}
{{- if include "lmcache-kserve.arguments.has" (dict "arguments" $arguments "names" (list "--data-parallel-rank" "-dpn")) -}}
1
{{- else if include "lmcache-kserve.arguments.has" (dict "arguments" $arguments "names" $local) -}}
{{ include "lmcache-kserve.workers.argued" (prepend $local .) }}
{{- else -}}
{{ include "lmcache-kserve.workers.argued" (list . "--data-parallel-size" "-dp") }}
{{- end -}}
{{- end }}

{{/*
Tensor parallel size: the user's, or else what divides the GPUs among stages and copies. huggingfaceserver takes all GPUs,
whatever the arguments say.
*/}}
{{- define "lmcache-kserve.workers.tensorParallelSize" -}}
{{- $parts := mul (include "lmcache-kserve.workers.stages" . | int) (include "lmcache-kserve.workers.copies" . | int) -}}
{{- if eq .Values.runtime.server "huggingfaceserver" }}{{ $parts = 1 }}{{ end -}}
{{- default (max 1 (div (int .Values.predictor.gpu.count) $parts)) .Values.runtime.tensorParallelSize | int -}}
{{- end }}

{{/* Number of workers of one replica. */}}
{{- define "lmcache-kserve.workers" -}}
{{- mul
      (include "lmcache-kserve.workers.tensorParallelSize" . | int)
      (include "lmcache-kserve.workers.stages" . | int)
      (include "lmcache-kserve.workers.copies" . | int) -}}
{{- end }}
