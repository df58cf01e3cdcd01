{{/*
Rules for what caches for the release where outgoing connections are restricted: name resolution and the backend.
Output: YAML list.
*/}}
{{- define "lmcache-kserve.networkPolicy.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- with include "lmcache-kserve.backend.ask" (list . "ports") | fromYamlArray }}
- ports:
    {{- include "lmcache-kserve.workload.policyPorts" . | nindent 4 }}
  {{- if include "lmcache-kserve.backend.deployed" $ }}
  to:
    - podSelector:
        matchLabels:
          {{- include "lmcache-kserve.labels.selector" (dict "context" $ "component" "remote-backend") | nindent 10 }}
  {{- end }}
{{- end }}
{{- end }}
