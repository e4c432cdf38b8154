{{/* The reference of a part's image. In: root, part. */}}
{{- define "streaming-stack.image" -}}
{{- $all := .root.Values.images -}}
{{- $one := index $all .part -}}
{{- $name := printf "%s/%s" ($one.registry | default $all.registry | trimSuffix "/") $one.name -}}
{{- if $one.digest -}}
{{- printf "%s@%s" $name $one.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($one.tag | default $all.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "streaming-stack.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "streaming-stack.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "streaming-stack.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
