{{/*
What the releases of LMCache, vLLM and KServe have. files/compatibility.yaml holds the facts. Every other template asks here and
compares no versions.

A product is "lmcache" (in the predictor), "server" (LMCache in the server of mode multiprocess), "vllm" or "kserve".
*/}}

{{/* Whether a release is older than another. Input: list "0.4.7" "0.5.0". Output: "true" or nothing. */}}
{{- define "lmcache-kserve.versions.older" -}}
  {{- if semverCompare (printf "<%s-0" (last .)) (first .) }}true{{ end -}}
{{- end }}

{{/* The predictor's image: the user's, or the image that Chart.yaml names. Output: JSON dict with repository and tag. */}}
{{- define "lmcache-kserve.versions.predictorImage" -}}
  {{- $image := .Values.runtime.image -}}
  {{- if not $image.repository -}}
    {{- $parts := include "lmcache-kserve.images.predictor" . | splitList "@" | first | splitList ":" -}}
    {{- $image = dict "repository" (first $parts) "tag" (last $parts) -}}
  {{- end -}}
  {{- pick $image "repository" "tag" | toJson -}}
{{- end }}

{{/* The image of mode multiprocess's server: the user's, or the predictor's. Output: JSON dict with repository and tag. */}}
{{- define "lmcache-kserve.versions.serverImage" -}}
  {{- $image := .Values.lmcache.multiprocess.image -}}
  {{- if $image.repository }}{{ pick $image "repository" "tag" | toJson }}{{ else }}{{ include "lmcache-kserve.versions.predictorImage" . }}{{ end -}}
{{- end }}

{{/*
What the tag of an image tells.
Input: list of the root context and a dict with repository and tag.
Output: JSON dict. lmcache, vllm: the releases, where the tag tells. plain: the suffix that the tag lacks, so that the image has
no LMCache. problem, works: why the image cannot work, and the tag of an image that works.
*/}}
{{- define "lmcache-kserve.versions.ofImage" -}}
  {{- $data := (first .).Files.Get "files/compatibility.yaml" | fromYaml -}}
  {{- $image := last . -}}
  {{- /* A tag may carry a digest: v0.20.0-gpu@sha256:... */ -}}
  {{- $read := default "" $image.tag | splitList "@" | first -}}
  {{- $told := dict -}}
  {{- range $repository, $reading := $data.tags -}}
    {{- if and $read (hasSuffix (printf "/%s" $repository) (printf "/%s" $image.repository)) -}}
      {{- $release := trimPrefix "v" $read | regexFind $reading.release -}}
      {{- if and $reading.suffix (not (hasSuffix $reading.suffix $read)) -}}
        {{- $told = dict "plain" $reading.suffix -}}
      {{- else if $release -}}
        {{- $tag := ternary (dict "lmcache" $release) dict (eq (default "" $reading.is) "lmcache") -}}
        {{- $told = dig $repository $release dict $data.images | default $tag -}}
        {{- $told = merge $told (dig $repository $release dict $data.broken) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- toJson $told -}}
{{- end }}

{{/*
Why an image of a known repository cannot work with LMCache. A stated lmcache.version says what the predictor's tag does not.
Input: list of the root context and the product, lmcache or server. Output: "v0.20.0 is ...; use ...", or nothing.
*/}}
{{- define "lmcache-kserve.versions.unusable" -}}
  {{- $context := first . -}}
  {{- $server := eq (last .) "server" -}}
  {{- $stated := ternary "" $context.Values.lmcache.version $server -}}
  {{- $image := include (printf "lmcache-kserve.versions.%sImage" (ternary "server" "predictor" $server)) $context | fromJson -}}
  {{- $told := list $context $image | include "lmcache-kserve.versions.ofImage" | fromJson -}}
  {{- $default := index $context.Chart.Annotations "lmcache-kserve/image-huggingfaceserver" | splitList "@" | first | splitList ":" | last -}}
  {{- if and $told.plain (not $stated) -}}
    {{ $image.tag }} is KServe's image for CPUs, which has no LMCache; use {{ $default }}, or another tag that ends in {{ $told.plain }}
  {{- else if and $told.problem (has $stated (list "" $told.lmcache)) -}}
    {{ $image.tag }} {{ $told.problem }}; use {{ $told.works }}, which runs under every KServe that the chart knows
  {{- end -}}
{{- end }}

{{/* Release of LMCache in the predictor. An image that does not tell counts as the newest proven pair. */}}
{{- define "lmcache-kserve.versions.lmcache" -}}
  {{- $told := include "lmcache-kserve.versions.predictorImage" . | fromJson | list . | include "lmcache-kserve.versions.ofImage" | fromJson -}}
  {{- coalesce .Values.lmcache.version $told.lmcache (index .Chart.Annotations "lmcache-kserve/tested-lmcache") -}}
{{- end }}

{{/* Release of LMCache in the server of mode multiprocess. An image that does not tell counts as the predictor's. */}}
{{- define "lmcache-kserve.versions.server" -}}
  {{- $told := list . .Values.lmcache.multiprocess.image | include "lmcache-kserve.versions.ofImage" | fromJson -}}
  {{- default (include "lmcache-kserve.versions.lmcache" .) $told.lmcache -}}
{{- end }}

{{/* Release of vLLM in the predictor. An image that does not tell counts as the newest proven pair. */}}
{{- define "lmcache-kserve.versions.vllm" -}}
  {{- $told := include "lmcache-kserve.versions.predictorImage" . | fromJson | list . | include "lmcache-kserve.versions.ofImage" | fromJson -}}
  {{- coalesce .Values.runtime.vllmVersion $told.vllm (index .Chart.Annotations "lmcache-kserve/tested-vllm") -}}
{{- end }}

{{/* Release of KServe in the cluster. A release without a patch counts as that release's newest patch. */}}
{{- define "lmcache-kserve.versions.kserve" -}}
  {{- $release := .Values.kserve.version -}}
  {{- regexMatch `^[0-9]+\.[0-9]+$` $release | ternary (printf "%s.99" $release) $release -}}
{{- end }}

{{/*
Whether a product has a feature.
Input: list of the root context, the product, and the feature. Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.versions.has" -}}
  {{- $context := index . 0 -}}
  {{- $product := index . 1 -}}
  {{- $data := $context.Files.Get "files/compatibility.yaml" | fromYaml -}}
  {{- $first := index $data (ternary "lmcache" $product (eq $product "server")) "features" (index . 2) -}}
  {{- $release := include (printf "lmcache-kserve.versions.%s" $product) $context -}}
  {{- if not (include "lmcache-kserve.versions.older" (list $release $first)) }}true{{ end -}}
{{- end }}

{{/*
What a refusal says of a feature that a product lacks.
Input: list of the root context, the product unless it is lmcache, and the feature.
Output: "needs LMCache 0.5.0 or newer, but lmcache.version is 0.4.7", or nothing where the product has the feature.
*/}}
{{- define "lmcache-kserve.versions.lacks" -}}
  {{- $context := first . -}}
  {{- $product := ternary "lmcache" (index . 1) (eq (len .) 2) -}}
  {{- if not (include "lmcache-kserve.versions.has" (list $context $product (last .))) -}}
    {{- $data := $context.Files.Get "files/compatibility.yaml" | fromYaml -}}
    {{- $first := index $data (ternary "lmcache" $product (eq $product "server")) "features" (last .) -}}
    {{- $name := ternary "vLLM" "LMCache" (eq $product "vllm") -}}
    {{- $source := include "lmcache-kserve.versions.source" (list $context $product) -}}
    {{- printf "needs %s %s or newer, but %s %s" $name $first $source (include (printf "lmcache-kserve.versions.%s" $product) $context) -}}
  {{- end -}}
{{- end }}

{{/*
Where a product's release is stated. Input: list of the root context and the product.
Output: "lmcache.version is", "runtime.image.tag v0.18.0-gpu has", or as much of another value or of the default image.
*/}}
{{- define "lmcache-kserve.versions.source" -}}
  {{- $values := (first .).Values -}}
  {{- $product := last . -}}
  {{- $server := $values.lmcache.multiprocess.image -}}
  {{- $stated := ternary "runtime.vllmVersion" "lmcache.version" (eq $product "vllm") -}}
  {{- if and (eq $product "server") (list (first .) $server | include "lmcache-kserve.versions.ofImage" | fromJson).lmcache -}}
    lmcache.multiprocess.image.tag {{ $server.tag }} has
  {{- else if ternary $values.runtime.vllmVersion $values.lmcache.version (eq $product "vllm") -}}
    {{ $stated }} is
  {{- else if $values.runtime.image.repository -}}
    runtime.image.tag {{ $values.runtime.image.tag }} has
  {{- else -}}
    the image of runtime.server {{ $values.runtime.server }} has
  {{- end -}}
{{- end }}
