{{/*
The Job that sends known prompts (files/warm_up.py). It runs as the pod of `helm test` does, whose modules it shares.

It is a plain Job and no hook. Helm would wait for a hook, while an image is pulled and a model loads, and then call the
installation failed: five minutes are Helm's default, and large models need more. A Job of the release makes nobody wait. Helm
removes it with the release, and Argo CD sees it as one more object. A Job cannot change, so each upgrade has one of another name.
Argo CD renders every revision as the first, and so makes another Job only where something about it changes.
*/}}

{{/* Whether there is something to send. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.warmup.wanted" -}}
{{- if or .Values.warmup.prompts .Values.warmup.existingConfigMap }}true{{ end -}}
{{- end }}

{{- define "lmcache-kserve.warmup.name" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "warmup") -}}
{{- end }}

{{- define "lmcache-kserve.warmup.promptsName" -}}
{{- include "lmcache-kserve.names.of" (dict "context" . "suffix" "warmup-prompts") -}}
{{- end }}

{{/* ConfigMaps with prompts. Output: JSON list of names. */}}
{{- define "lmcache-kserve.warmup.configMaps" -}}
{{- $names := list -}}
{{- if .Values.warmup.prompts }}{{ $names = append $names (include "lmcache-kserve.warmup.promptsName" .) }}{{ end -}}
{{- with .Values.warmup.existingConfigMap }}{{ $names = append $names . }}{{ end -}}
{{- toJson $names -}}
{{- end }}

{{/* Where the prompts of a ConfigMap lie. Input: the ConfigMap's position. */}}
{{- define "lmcache-kserve.warmup.folder" -}}
/etc/lmcache-kserve-prompts/{{ . }}
{{- end }}

{{/* The prompts of the values, each a file. The numbers keep their order. Output: JSON dict. */}}
{{- define "lmcache-kserve.warmup.promptFiles" -}}
{{- $files := dict -}}
{{- range $index, $prompt := .Values.warmup.prompts }}{{ $_ := set $files (printf "prompt-%03d" $index) $prompt }}{{ end -}}
{{- toJson $files -}}
{{- end }}

{{/* The scripts: the Job's own and those of `helm test`, which lie beside it. Output: JSON dict. */}}
{{- define "lmcache-kserve.warmup.scripts" -}}
{{- $files := dict "warm_up.py" (.Files.Get "files/warm_up.py") -}}
{{- range $path, $_ := .Files.Glob "files/prove_reuse/*.py" }}{{ $_ := set $files (base $path) ($.Files.Get $path) }}{{ end -}}
{{- toJson $files -}}
{{- end }}

{{/* Arguments of the script. The last one of a name counts. Output: JSON list. */}}
{{- define "lmcache-kserve.warmup.args" -}}
{{- $args := append (include "lmcache-kserve.tests.args" . | fromJsonArray) (printf "--timeout=%d" (int .Values.warmup.timeoutSeconds)) -}}
{{- range $index, $_ := include "lmcache-kserve.warmup.configMaps" . | fromJsonArray -}}
  {{- $args = append $args (printf "--prompts=%s" (include "lmcache-kserve.warmup.folder" $index)) -}}
{{- end -}}
{{- if .Values.warmup.chat }}{{ $args = append $args "--chat" }}{{ end -}}
{{- toJson $args -}}
{{- end }}

{{/* The spec of the Job's pod. Output: YAML. */}}
{{- define "lmcache-kserve.warmup.podSpec" -}}
{{- $predictor := .Values.predictor -}}
restartPolicy: Never
terminationGracePeriodSeconds: 10
{{- with $predictor.serviceAccountName }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{ include "lmcache-kserve.pods.fields" (dict "context" . "values" (dict
      "podSecurityContext" $predictor.podSecurityContext
      "nodeSelector" $predictor.nodeSelector
      "tolerations" $predictor.tolerations
      "affinity" (include "lmcache-kserve.tests.affinity" . | fromYaml))) }}
containers:
  - name: warm-up
    image: {{ include "lmcache-kserve.images.predictor" . | quote }}
    imagePullPolicy: {{ .Values.runtime.image.pullPolicy }}
    command:
      - python3
      - {{ include "lmcache-kserve.scripts.path" . }}/warm_up.py
    args:
      {{- include "lmcache-kserve.warmup.args" . | fromJsonArray | toYaml | nindent 6 }}
    {{- with include "lmcache-kserve.tests.env" . | fromJsonArray }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with include "lmcache-kserve.tests.envFrom" . | fromJsonArray }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.warmup.resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- $context := mergeOverwrite (deepCopy $predictor.securityContext) (dict "readOnlyRootFilesystem" true) }}
      {{- include "lmcache-kserve.pods.securityContext" $context | nindent 6 }}
    volumeMounts:
      - name: scripts
        mountPath: {{ include "lmcache-kserve.scripts.path" . }}
        readOnly: true
      {{- range $index, $_ := include "lmcache-kserve.warmup.configMaps" . | fromJsonArray }}
      - name: prompts-{{ $index }}
        mountPath: {{ include "lmcache-kserve.warmup.folder" $index }}
        readOnly: true
      {{- end }}
volumes:
  - name: scripts
    configMap:
      name: {{ include "lmcache-kserve.warmup.name" . }}
  {{- range $index, $name := include "lmcache-kserve.warmup.configMaps" . | fromJsonArray }}
  - name: prompts-{{ $index }}
    configMap:
      name: {{ $name | quote }}
  {{- end }}
{{- end }}
