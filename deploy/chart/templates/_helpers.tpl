{{- define "pstn-bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the suffixes of what is named after it. */}}
{{- define "pstn-bridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "pstn-bridge.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pstn-bridge.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pstn-bridge.selector" -}}
app.kubernetes.io/name: {{ include "pstn-bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Those of everything but pods: the component keeps the test's pod out of the Service. */}}
{{- define "pstn-bridge.labels" -}}
{{ include "pstn-bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "pstn-bridge.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "pstn-bridge.serviceAccount" -}}
{{- default (include "pstn-bridge.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/*
Seconds from SIGTERM to SIGKILL: everything is served for DRAIN_DELAY, webhooks in flight are answered within
WEBHOOK_BUDGET and a second, work under way has SHUTDOWN_GRACE; five more to close what is open. No preStop hook is
needed, because the service goes on serving by itself while endpoints are being taken away.
*/}}
{{- define "pstn-bridge.grace" -}}
{{- $drain := dig "DRAIN_DELAY" 5 .Values.settings -}}
{{- $budget := dig "WEBHOOK_BUDGET" 8.0 .Values.settings -}}
{{- $grace := dig "SHUTDOWN_GRACE" 20 .Values.settings -}}
{{- add (int $drain) (int (ceil (float64 $budget))) 1 (int $grace) 5 -}}
{{- end -}}

{{/* Changes with the Secrets where there is a cluster to ask; their content is not in it. */}}
{{- define "pstn-bridge.secretsRevision" -}}
{{- $seen := list .Values.secrets.revision -}}
{{- range .Values.secrets.names -}}
{{- $found := lookup "v1" "Secret" $.Release.Namespace . -}}
{{- if $found -}}
{{- $seen = append $seen (printf "%s/%s" $found.metadata.uid $found.metadata.resourceVersion) -}}
{{- end -}}
{{- end -}}
{{- join "," $seen | sha256sum -}}
{{- end -}}

{{/* What a restricted namespace asks for, and a root that cannot be written. */}}
{{- define "pstn-bridge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "pstn-bridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
Annotations of the ingress of a path, for the controller that is named, with the body limit and times of
deploy/nginx.conf: `read`: seconds without a byte; `again`: whether a POST may be tried at another replica, which does no
harm to a webhook and would place a call twice. A path is passed on as it was folded to be looked up, not as it came.
*/}}
{{- define "pstn-bridge.ingressAnnotations" -}}
{{- $again := ternary "error timeout http_503 non_idempotent" "error timeout" .again -}}
{{- $rate := int .ingress.requestsPerSecond -}}
{{- if eq .ingress.controller "nginx" -}}
nginx.org/rewrites: serviceName={{ .service }} rewrite={{ .path }}
nginx.org/client-max-body-size: 64k
nginx.org/proxy-connect-timeout: 1s
nginx.org/proxy-read-timeout: {{ .read }}s
nginx.org/proxy-buffering: "false"
nginx.org/proxy-next-upstream: {{ $again }}
nginx.org/proxy-next-upstream-tries: "2"
nginx.org/proxy-next-upstream-timeout: 5s
nginx.org/keepalive: "64"
nginx.org/limit-req-key: ${binary_remote_addr}
nginx.org/limit-req-zone-size: 10m
nginx.org/limit-req-rate: {{ $rate }}r/s
nginx.org/limit-req-burst: {{ mul 2 $rate | quote }}
nginx.org/limit-req-no-delay: "true"
nginx.org/limit-req-reject-code: "429"
{{- else if eq .ingress.controller "ingress-nginx" -}}
nginx.ingress.kubernetes.io/use-regex: "true"
nginx.ingress.kubernetes.io/rewrite-target: {{ .path }}$1
nginx.ingress.kubernetes.io/proxy-body-size: 64k
nginx.ingress.kubernetes.io/proxy-connect-timeout: "1"
nginx.ingress.kubernetes.io/proxy-read-timeout: {{ .read | quote }}
nginx.ingress.kubernetes.io/proxy-buffering: "off"
nginx.ingress.kubernetes.io/proxy-request-buffering: "on"
nginx.ingress.kubernetes.io/proxy-next-upstream: {{ $again }}
nginx.ingress.kubernetes.io/proxy-next-upstream-tries: "2"
nginx.ingress.kubernetes.io/proxy-next-upstream-timeout: "5"
nginx.ingress.kubernetes.io/limit-rps: {{ $rate | quote }}
nginx.ingress.kubernetes.io/limit-burst-multiplier: "2"
{{- end -}}
{{- end -}}

{{/* Cuts off who dawdles with headers or a body; of a whole server, so once for each host. */}}
{{- define "pstn-bridge.slowClients" -}}
{{- $key := get (dict "nginx" "nginx.org/server-snippets" "ingress-nginx" "nginx.ingress.kubernetes.io/server-snippet") .controller -}}
{{- if and .snippets $key -}}
{{ $key }}: |
  client_header_timeout 5s;
  client_body_timeout 5s;
  send_timeout 10s;
{{- end -}}
{{- end -}}

{{- define "pstn-bridge.ingressPath" -}}
{{- $rewritten := eq .controller "ingress-nginx" -}}
http:
  paths:
    - path: {{ .path }}{{ if $rewritten }}(.*){{ end }}
      pathType: {{ ternary "ImplementationSpecific" "Prefix" $rewritten }}
      backend:
        service:
          name: {{ .service }}
          port:
            name: http
{{- end -}}
