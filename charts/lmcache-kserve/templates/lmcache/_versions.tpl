{{/*
What the releases of LMCache and KServe have. files/compatibility.yaml holds the facts. Every other template asks here and
compares no versions.
*/}}

{{/* Whether a release is older than another. Input: list "0.4.7" "0.5.0". Output: "true" or nothing. */}}
{{- define "lmcache-kserve.versions.older" -}}
  {{- if semverCompare (printf "<%s-0" (last .)) (first .) }}true{{ end -}}
{{- end }}

{{/*
Release of LMCache that the tag of the predictor's image tells: the user's image, or the image that Chart.yaml names.
Output: release, or nothing for an image that files/compatibility.yaml does not know.
*/}}
{{- define "lmcache-kserve.versions.ofImage" -}}
  {{- $image := .Values.runtime.image -}}
  {{- if not $image.repository -}}
    {{- $parts := include "lmcache-kserve.images.predictor" . | splitList ":" -}}
    {{- $image = dict "repository" (first $parts) "tag" (last $parts) -}}
  {{- end -}}
  {{- range $repository, $releases := (.Files.Get "files/compatibility.yaml" | fromYaml).lmcache.images -}}
    {{- if hasSuffix (printf "/%s" $repository) (printf "/%s" $image.repository) -}}
      {{- $tag := trimPrefix "v" $image.tag -}}
      {{- if kindIs "map" $releases -}}
        {{- get $releases (regexFind `^[0-9]+\.[0-9]+` $tag) -}}
      {{- else -}}
        {{- regexFind `^[0-9]+\.[0-9]+\.[0-9]+` $tag -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end }}

{{/* Release of LMCache in the predictor's image. An image that the chart does not know counts as the tested release. */}}
{{- define "lmcache-kserve.versions.lmcache" -}}
  {{- $tested := index .Chart.Annotations "lmcache-kserve/tested-lmcache" -}}
  {{- coalesce .Values.lmcache.version (include "lmcache-kserve.versions.ofImage" .) $tested -}}
{{- end }}

{{/*
Whether the image's LMCache, or the cluster's KServe, has a feature.
Input: list of the root context, "lmcache" or "kserve", and the feature. Output: "true" or nothing.
*/}}
{{- define "lmcache-kserve.versions.has" -}}
  {{- $context := index . 0 -}}
  {{- $first := index ($context.Files.Get "files/compatibility.yaml" | fromYaml) (index . 1) "features" (index . 2) -}}
  {{- $release := $context.Values.kserve.version -}}
  {{- if eq (index . 1) "lmcache" }}{{ $release = include "lmcache-kserve.versions.lmcache" $context }}{{ end -}}
  {{- if not (include "lmcache-kserve.versions.older" (list $release $first)) }}true{{ end -}}
{{- end }}

{{/*
What a refusal says of a feature that the image's LMCache lacks.
Input: list of the root context and the feature.
Output: "needs LMCache 0.5.0 or newer, but lmcache.version is 0.4.7", or nothing where LMCache has the feature.
*/}}
{{- define "lmcache-kserve.versions.lacks" -}}
  {{- $context := first . -}}
  {{- $values := $context.Values -}}
  {{- if not (include "lmcache-kserve.versions.has" (list $context "lmcache" (last .))) -}}
    {{- $first := get ($context.Files.Get "files/compatibility.yaml" | fromYaml).lmcache.features (last .) -}}
    {{- $source := printf "the image of runtime.server %s has" $values.runtime.server -}}
    {{- if $values.runtime.image.repository }}{{ $source = printf "runtime.image.tag %s has" $values.runtime.image.tag }}{{ end -}}
    {{- if $values.lmcache.version }}{{ $source = "lmcache.version is" }}{{ end -}}
    {{- printf "needs LMCache %s or newer, but %s %s" $first $source (include "lmcache-kserve.versions.lmcache" $context) -}}
  {{- end -}}
{{- end }}
