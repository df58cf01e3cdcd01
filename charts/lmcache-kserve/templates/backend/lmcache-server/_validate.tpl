{{/*
What the schema cannot say about the values of remoteBackend.lmcacheServer.
*/}}

{{- define "lmcache-kserve.backend.lmcache-server.problems" -}}
{{- $values := .Values.remoteBackend.lmcacheServer -}}
{{- if $values.deploy }}
{{- if $values.external.endpoint }}
remoteBackend.lmcacheServer.external.endpoint: names a server; set remoteBackend.lmcacheServer.deploy to false to use that server
{{- end }}
{{- include "lmcache-kserve.images.problems" (dict "path" "remoteBackend.lmcacheServer.image" "image" $values.image) }}
{{- else if not $values.external.endpoint }}
remoteBackend.lmcacheServer.external.endpoint: is required (host:port) when remoteBackend.lmcacheServer.deploy is false
{{- end }}
{{- /* Its protocol has 150 characters for a key, of which up to 85 are not the model's. */}}
{{- if and (not (include "lmcache-kserve.predictor.fromStorage" .)) (gt (len .Values.model.id) 64) }}
model.id: has {{ len .Values.model.id }} characters; lm:// keys have room for 64, use another backend or storageUri
{{- end }}
{{- end }}
