{{/*
No remote backend: chunks stay where they were computed.
*/}}
{{- define "lmcache-kserve.backend.none.deployed" }}{{ end }}
{{- define "lmcache-kserve.backend.none.endpoint" }}{{ end }}
{{- define "lmcache-kserve.backend.none.ports" -}}
[]
{{- end }}
{{- define "lmcache-kserve.backend.none.credentials" }}{{ end }}
{{- define "lmcache-kserve.backend.none.config" }}{{ end }}
{{- define "lmcache-kserve.backend.none.module" }}{{ end }}
{{- define "lmcache-kserve.backend.none.env" }}{{ end }}
{{- define "lmcache-kserve.backend.none.volumes" }}{{ end }}
{{- define "lmcache-kserve.backend.none.volumeMounts" }}{{ end }}
{{- define "lmcache-kserve.backend.none.l2Adapter" }}{{ end }}
{{- define "lmcache-kserve.backend.none.l2Env" }}{{ end }}
{{- define "lmcache-kserve.backend.none.secretChecksum" }}{{ end }}
{{- define "lmcache-kserve.backend.none.generatedPassword" }}{{ end }}
{{- define "lmcache-kserve.backend.none.problems" }}{{ end }}
{{- define "lmcache-kserve.backend.none.notes" }}{{ end }}
