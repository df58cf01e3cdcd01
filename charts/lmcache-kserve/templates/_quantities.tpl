{{/*
Bytes in a Kubernetes quantity ("24Gi", "1.5G", 1073741824), as an integer; 0 for an empty text and for a text that is not a quantity.
Input: string or number.
*/}}
{{- define "lmcache-kserve.bytes" -}}
{{- $text := include "lmcache-kserve.string" . -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- $units := dict
      "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15
      "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 -}}
{{- if and $number (hasKey $units $unit) -}}
  {{- mulf (float64 $number) (get $units $unit) | floor | int64 -}}
{{- else -}}
  0
{{- end -}}
{{- end }}
