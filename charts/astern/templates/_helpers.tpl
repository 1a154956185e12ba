{{- define "astern.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "astern.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "astern.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "astern.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "astern.selector" -}}
app.kubernetes.io/name: {{ include "astern.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "astern.labels" -}}
{{ include "astern.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "astern.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "astern.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "astern.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ if .Values.image.git }}-git{{ end }}
{{- end -}}
{{- end -}}

{{/* What the chart decides of astern.yaml; the user's own keys stand beside it. */}}
{{- define "astern.config" -}}
{{- $own := dict
  "storage" (dict "url" "sqlite:/var/lib/astern/astern.db")
  "rule_files" (list "/etc/astern/files/rules-*.yaml")
  "target_files" (list "/etc/astern/files/targets-*.yaml")
  "procedure_files" (list "/etc/astern/files/procedures-*.yaml")
  "communication_files" (list "/etc/astern/files/communications-*.yaml") -}}
{{- range $key, $_ := .Values.config.astern -}}
{{- if hasKey $own $key -}}
{{- fail (printf "config.astern.%s: the chart sets it; put files under config.rules, config.targets, config.procedures or config.communications" $key) -}}
{{- end -}}
{{- end -}}
{{- range $kind := list "rules" "targets" "procedures" "communications" -}}
{{- if and (empty (index $.Values.config $kind)) (empty $.Values.config.existingConfigMaps) -}}
{{- $_ := unset $own (printf "%s_files" (trimSuffix "s" $kind)) -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge $own .Values.config.astern) -}}
{{- end -}}
