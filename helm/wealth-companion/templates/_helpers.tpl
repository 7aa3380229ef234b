{{/* The labels of everything. */}}
{{- define "wealth.labels" -}}
app.kubernetes.io/name: wealth-companion
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What tells the pods of a role from others: {role}. */}}
{{- define "wealth.selector" -}}
app.kubernetes.io/name: wealth-companion
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "wealth.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* A number of the values as a whole one: Helm reads all numbers as floating-point ones, and writes 1e+06. */}}
{{- define "wealth.number" -}}
{{- if or (kindIs "float64" .) (kindIs "int64" .) (kindIs "int" .) }}{{ int64 . }}{{ else }}{{ . | toJson }}{{ end }}
{{- end }}

{{/* The settings as TOML. A string of JSON is one of TOML. */}}
{{- define "wealth.config" -}}
{{- range $section, $settings := .Values.config }}
{{- if not (kindIs "map" $settings) }}
{{ $section }} = {{ include "wealth.number" $settings }}
{{- end }}
{{- end }}
{{- range $section, $settings := .Values.config }}
{{- if kindIs "map" $settings }}

[{{ $section }}]
{{- range $key, $value := $settings }}
{{ $key }} = {{ include "wealth.number" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether the secrets come from a store of Dapr, not from the environment. */}}
{{- define "wealth.usesStore" -}}
{{- if dig "dapr" "secretstore" "" .Values.config }}yes{{ end }}
{{- end }}

{{/* Whether pods have a sidecar. */}}
{{- define "wealth.usesDapr" -}}
{{- if or (eq "dapr" (dig "bus" "kind" "embedded" .Values.config)) (eq "dapr" (dig "state" "kind" "embedded" .Values.config)) (include "wealth.usesStore" .) }}yes{{ end }}
{{- end }}

{{/* How long a role may take to end once it has the signal, seconds. */}}
{{- define "wealth.drainSeconds" -}}
{{- $pause := dig "lifecycle" "drain_pause_ms" 0 .Values.config | int64 -}}
{{- $drain := dig "lifecycle" "drain_deadline_ms" 20000 .Values.config | int64 -}}
{{- div (add $pause $drain 999) 1000 -}}
{{- end }}

{{/* The Secret with the certificate of `route.hosts`; empty without one. */}}
{{- define "wealth.tlsSecret" -}}
{{- .Values.route.tlsSecret | default (ternary "" "wealth-companion-tls" (empty .Values.route.clusterIssuer)) -}}
{{- end }}

{{- define "wealth.port" -}}
{{- last (splitList ":" .) -}}
{{- end }}

{{- define "wealth.publicPort" -}}{{ include "wealth.port" .Values.config.http.public_addr }}{{- end }}
{{- define "wealth.internalPort" -}}{{ include "wealth.port" .Values.config.http.internal_addr }}{{- end }}

{{/* Of every container. */}}
{{- define "wealth.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
{{- end }}

{{/* Of every pod. */}}
{{- define "wealth.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* The secrets as variables, from the Secret of this name. */}}
{{- define "wealth.secretVariables" -}}
{{- $secret := . }}
{{- range $name := list "DATABASE_URL" "JWT_SECRET_KEY" "REDIS_URL" "GEMINI_API_KEY" "SMTP_URL" }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $name }}, optional: {{ ne $name "DATABASE_URL" }}}}
{{- end }}
{{- end }}

{{/* What the chart makes the Secret of: those of the values that are given. */}}
{{- define "wealth.secretData" -}}
stringData:
  {{- range $name, $value := .Values.secrets.values }}
  {{- if $value }}
  {{ $name }}: {{ $value | quote }}
  {{- end }}
  {{- end }}
{{- end }}

{{/* How fast a role grows and shrinks. A new replica of a consumer moves partitions about: not for every gust. */}}
{{- define "wealth.scalingBehavior" -}}
scaleDown: {stabilizationWindowSeconds: 300, policies: [{type: Pods, value: 1, periodSeconds: 60}]}
scaleUp: {stabilizationWindowSeconds: {{ ternary 0 30 (eq . "api") }}, policies: [{type: Pods, value: 2, periodSeconds: 30}]}
{{- end }}

{{- define "wealth.certificatesVolume" -}}
{{- if .Values.certificates.secret }}
- name: certificates
  secret: {secretName: {{ .Values.certificates.secret }}}
{{- else if .Values.certificates.configMap }}
- name: certificates
  configMap: {name: {{ .Values.certificates.configMap }}}
{{- end }}
{{- end }}

{{- define "wealth.certificatesMount" -}}
{{- if or .Values.certificates.secret .Values.certificates.configMap }}
- {name: certificates, mountPath: /etc/wealth-companion/certificates, readOnly: true}
{{- end }}
{{- end }}

{{- define "wealth.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "wealth.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* What cannot be, before anything is rendered. */}}
{{- define "wealth.check" -}}
{{- $partitions := dig "kafka" "partitions" 12 .Values.config | int64 }}
{{- range $role := list "projector" "notifier" }}
  {{- $settings := index $.Values.roles $role }}
  {{- $most := ternary $settings.replicas $settings.autoscaling.max (eq "none" $.Values.autoscaling.kind) | int64 }}
  {{- if and (ne "embedded" (dig "bus" "kind" "embedded" $.Values.config)) (gt $most $partitions) }}
    {{- fail (printf "roles.%s: %d replicas, but topics have %d partitions (config.kafka.partitions): the others would idle" $role $most $partitions) }}
  {{- end }}
{{- end }}
{{- range $role, $settings := .Values.roles }}
  {{- if gt (int64 $settings.autoscaling.min) (int64 $settings.autoscaling.max) }}
    {{- fail (printf "roles.%s.autoscaling: min is above max" $role) }}
  {{- end }}
{{- end }}
{{- if eq "kafka" (dig "bus" "kind" "embedded" .Values.config) }}
  {{- fail "config.bus.kind: kafka goes without TLS and password, which this chart lets no role do; dapr or embedded" }}
{{- end }}
{{- if and (ne .Values.route.kind "none") (not .Values.route.hosts) }}
  {{- fail "route.hosts: name the hosts that clients use" }}
{{- end }}
{{- if and (eq .Values.route.kind "httproute") (not .Values.route.httproute.parentRefs) (not .Values.route.httproute.gatewayClassName) }}
  {{- fail "route.httproute: name a Gateway (parentRefs) or a class to make one of (gatewayClassName)" }}
{{- end }}
{{- if and (eq .Values.secrets.kind "external") (not .Values.secrets.external.store.name) }}
  {{- fail "secrets.external.store.name: name the SecretStore" }}
{{- end }}
{{- if eq .Values.secrets.kind "values" }}
  {{- range $name := list "DATABASE_URL" "JWT_SECRET_KEY" }}
    {{- if not (index $.Values.secrets.values $name) }}
      {{- fail (printf "secrets.values.%s: there is no default; give it, or make the Secret yourself (secrets.kind existing)" $name) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- if and .Values.certificates.secret .Values.certificates.configMap }}
  {{- fail "certificates: a Secret or a ConfigMap, not both" }}
{{- end }}
{{- end }}
