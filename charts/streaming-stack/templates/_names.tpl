{{- define "streaming-stack.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "streaming-stack.adapter" -}}
{{ include "streaming-stack.fullname" . }}-metrics-adapter
{{- end -}}

{{- define "streaming-stack.adapterAccount" -}}
{{- if .Values.metricsAdapter.serviceAccount.create -}}
{{- .Values.metricsAdapter.serviceAccount.name | default (include "streaming-stack.adapter" .) -}}
{{- else -}}
{{- required "metricsAdapter.serviceAccount.name: name the service account, as metricsAdapter.serviceAccount.create is false" .Values.metricsAdapter.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Whether the adapter serves custom.metrics.k8s.io: "true" or nothing. It is one for the whole cluster. */}}
{{- define "streaming-stack.servesMetrics" -}}
{{- $api := .Values.metricsAdapter.api -}}
{{- if and .Values.metricsAdapter.enabled (or (eq $api "Always") (and (eq $api "Auto") (eq .Values.scope "cluster"))) -}}
true
{{- end -}}
{{- end -}}

{{- define "streaming-stack.operator" -}}
{{ include "streaming-stack.fullname" . }}-operator
{{- end -}}

{{/* Names of what is not in a namespace carry it. */}}
{{- define "streaming-stack.clusterName" -}}
{{ include "streaming-stack.operator" . }}-{{ .Release.Namespace }}
{{- end -}}

{{- define "streaming-stack.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "streaming-stack.operator" .) -}}
{{- else -}}
{{- required "serviceAccount.name: name the service account, as serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Namespaces that are watched, as a list; empty: all. */}}
{{- define "streaming-stack.namespaces" -}}
{{- if eq .Values.scope "namespaces" -}}
{{- .Values.namespaces | default (list .Release.Namespace) | toJson -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/* In: root, component. */}}
{{- define "streaming-stack.labels" -}}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
{{ include "streaming-stack.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* In: root, component. Not the labels of stacks' pods: their policies and budgets never select the operator. */}}
{{- define "streaming-stack.selector" -}}
app.kubernetes.io/name: streaming-operator
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}
