{{/* The operator's variables; those of extraEnv win, and no name comes twice. */}}
{{- define "streaming-stack.environment" -}}
{{- $own := dict
  "IMAGE_GATEWAY" (include "streaming-stack.image" (dict "root" . "part" "gateway"))
  "IMAGE_LICENSE_PROXY" (include "streaming-stack.image" (dict "root" . "part" "licenseProxy"))
  "IMAGE_LOAD_BALANCER" (include "streaming-stack.image" (dict "root" . "part" "loadBalancer"))
  "IMAGE_ASR" (include "streaming-stack.image" (dict "root" . "part" "asr"))
  "IMAGE_ASR_GPU" (include "streaming-stack.image" (dict "root" . "part" "asrGpu"))
  "IMAGE_MODEL_STORE" (include "streaming-stack.image" (dict "root" . "part" "modelStore"))
  "IMAGE_SYNC_API" (include "streaming-stack.image" (dict "root" . "part" "syncApi"))
  "WATCH_NAMESPACES" (include "streaming-stack.namespaces" . | fromJsonArray | join ",")
  "PROBE_PORT" "8080"
  "WORKERS" (toString .Values.operator.workers)
  "RESYNC_SECONDS" (toString .Values.operator.resyncSeconds)
  "READINGS_SECONDS" (toString .Values.operator.readingsSeconds)
  "UNLISTED_SECONDS" (toString .Values.operator.unlistedSeconds)
  "LOGGING_LEVEL" .Values.operator.logLevel
  "USE_STRUCTURED_LOGGING" (toString .Values.operator.structuredLogs)
-}}
{{- with .Values.operator.clusterDns }}{{ $_ := set $own "CLUSTER_DNS" . }}{{ end -}}
{{- with .Values.operator.clusterDomain }}{{ $_ := set $own "CLUSTER_DOMAIN" . }}{{ end -}}
{{- with .Values.operator.scalerAddress }}
{{- $_ := set $own "SCALER_ADDRESS" . }}
{{- else }}
{{- if .Values.metricsAdapter.enabled }}{{ $_ := set $own "SCALER_ADDRESS" (printf "%s.%s.svc:9091" (include "streaming-stack.adapter" .) .Release.Namespace) }}{{ end }}
{{- end -}}
{{- if include "streaming-stack.servesMetrics" . }}{{ $_ := set $own "WITHDRAW_METRICS_API" "true" }}{{ end -}}
{{- $extra := dict -}}
{{- range .Values.operator.extraEnv }}{{ $_ := set $extra .name . }}{{ end -}}
{{- range $name, $field := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" }}
- name: {{ $name }}
  valueFrom: {fieldRef: {fieldPath: {{ $field }}}}
{{- end }}
{{- range $name, $value := $own }}
{{- if not (hasKey $extra $name) }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $variable := omit $extra "POD_NAME" "POD_NAMESPACE" }}
- {{ toYaml $variable | nindent 2 | trim }}
{{- end }}
{{- end -}}
