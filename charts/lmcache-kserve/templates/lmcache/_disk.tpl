{{/*
The disk tier (lmcache.localDisk), which each mode mounts where its LMCache runs: in the predictor's container, or in that of
`lmcache server`. There, files/bounded_disk.py keeps the folder within its bound.
*/}}

{{/* Whether there is a disk tier. Output: "true" or nothing. */}}
{{- define "lmcache-kserve.lmcache.disk" -}}
{{- if and .Values.lmcache.enabled .Values.lmcache.localDisk.enabled }}true{{ end -}}
{{- end }}

{{/*
Disk of a pod, as a quantity: that of all its workers, or of its server in mode multiprocess.
Input: dict "context" $ "factor" 1.0.
*/}}
{{- define "lmcache-kserve.lmcache.diskSize" -}}
{{- $workers := ternary 1 (include "lmcache-kserve.workers" .context | int) (eq "true" (include "lmcache-kserve.multiprocess" .context)) -}}
{{- $size := include "lmcache-kserve.number" (default 0 .context.Values.lmcache.localDisk.sizeGB) | float64 -}}
{{- /* Rounded first, so that 10 x 1.1 is 11 and not 12. */ -}}
{{- printf "%dGi" (mulf $size $workers .factor | printf "%.3f" | float64 | ceil | int64) -}}
{{- end }}

{{/* Ephemeral storage that the disk tier takes from the node. Output: quantity or nothing. */}}
{{- define "lmcache-kserve.lmcache.ephemeralStorage" -}}
{{- if and (include "lmcache-kserve.lmcache.disk" .) (eq .Values.lmcache.localDisk.volume.type "emptyDir") -}}
{{- include "lmcache-kserve.lmcache.diskSize" (dict "context" . "factor" 1.0) -}}
{{- end -}}
{{- end }}

{{/* Its volume, where there is a disk tier. Output: YAML list. */}}
{{- define "lmcache-kserve.lmcache.disk.volumes" -}}
{{- if include "lmcache-kserve.lmcache.disk" . }}
{{- $volume := .Values.lmcache.localDisk.volume }}
- name: lmcache-disk
  {{- if eq $volume.type "emptyDir" }}
  emptyDir:
    # A tenth more than the tier: the kubelet evicts the pod when file system overhead exceeds the limit.
    sizeLimit: {{ include "lmcache-kserve.lmcache.diskSize" (dict "context" . "factor" 1.1) }}
  {{- else if eq $volume.type "ephemeral" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes:
          - ReadWriteOnce
        {{- with $volume.storageClassName }}
        storageClassName: {{ . | quote }}
        {{- end }}
        resources:
          requests:
            storage: {{ include "lmcache-kserve.lmcache.diskSize" (dict "context" . "factor" 1.1) }}
  {{- else }}
  persistentVolumeClaim:
    claimName: {{ $volume.existingClaim | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "lmcache-kserve.lmcache.disk.volumeMounts" -}}
{{- if include "lmcache-kserve.lmcache.disk" . }}
- name: lmcache-disk
  mountPath: {{ .Values.lmcache.localDisk.path | quote }}
{{- end }}
{{- end }}

{{/* Value of `--l2-adapter`, which has LMCache's server load files/bounded_disk.py. Output: JSON dict or nothing. */}}
{{- define "lmcache-kserve.lmcache.disk.l2Adapter" -}}
{{- if include "lmcache-kserve.lmcache.disk" . -}}
{{- $disk := .Values.lmcache.localDisk -}}
{{- $bytes := include "lmcache-kserve.number" (default 0 $disk.sizeGB) | float64 | mulf 1073741824.0 | int64 -}}
{{- dict "type" "plugin" "module_path" "bounded_disk" "class_name" "BoundedDisk"
      "adapter_params" (dict "base_path" $disk.path "max_bytes" $bytes) | toJson -}}
{{- end -}}
{{- end }}
