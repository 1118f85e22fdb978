{{/* The name of the application. */}}
{{- define "trireme.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the operator's objects: "trireme" for a release of that name. */}}
{{- define "trireme.fullname" -}}
{{- $name := include "trireme.name" . -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "trireme.selectorLabels" -}}
app.kubernetes.io/name: {{ include "trireme.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What the chart itself says of each object. */}}
{{- define "trireme.ownLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "trireme.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "trireme.labels" -}}
{{ include "trireme.ownLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels beyond these (root, labels), and the common ones where they say nothing else. */}}
{{- define "trireme.moreLabels" -}}
{{- with merge (dict) (default (dict) .labels) (default (dict) .root.Values.commonLabels) }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "trireme.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "trireme.fullname" .) .Values.serviceAccount.name }}
{{- else if and .Values.rbac.create (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.name must be set where serviceAccount.create is false: else every pod here that names none had the operator's rights" }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The Secret with the operator's own key. */}}
{{- define "trireme.controlKeySecretName" -}}
{{- default (printf "%s-control-key" (include "trireme.fullname" .)) .Values.controlKeySecret.name }}
{{- end }}

{{- define "trireme.nodeCacheName" -}}
{{- printf "%s-node-cache" (include "trireme.fullname" . | trunc 52 | trimSuffix "-") }}
{{- end }}

{{/* The Secret with the key that the operator and the caches of the nodes share. */}}
{{- define "trireme.nodeCacheKeySecretName" -}}
{{- default (printf "%s-key" (include "trireme.nodeCacheName" .)) .Values.nodeCache.keySecret.name }}
{{- end }}

{{/* Of other pods than the operator's, so that nothing of the operator selects them. */}}
{{- define "trireme.nodeCacheSelectorLabels" -}}
app.kubernetes.io/name: {{ include "trireme.name" . | trunc 52 | trimSuffix "-" }}-node-cache
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "trireme.nodeCacheLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "trireme.nodeCacheSelectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A Secret (root, name) with 32 random bytes at a key, made once: upgrades leave it as it is. */}}
{{- define "trireme.madeKey" -}}
{{- $existing := lookup "v1" "Secret" .root.Release.Namespace .name -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "trireme.labels" .root | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
immutable: true
data:
  {{- if $existing }}
  {{- toYaml $existing.data | nindent 2 }}
  {{- else }}
  {{ .key }}: {{ randBytes 32 }}
  {{- end }}
{{- end }}

{{/* Refuses timings with which two pods might act at once, or none ever. */}}
{{- define "trireme.checkLease" -}}
{{- $duration := int .Values.lease.durationSeconds }}
{{- $deadline := int .Values.lease.renewDeadlineSeconds }}
{{- if le $duration $deadline }}
{{- fail "lease.durationSeconds must be more than lease.renewDeadlineSeconds" }}
{{- end }}
{{- if le (mul 5 $deadline) (mul 6 (int .Values.lease.retryPeriodSeconds)) }}
{{- fail "lease.renewDeadlineSeconds must be more than 1.2 times lease.retryPeriodSeconds" }}
{{- end }}
{{- end }}

{{/* Refuses labels that the chart sets itself: an object has each of them once. */}}
{{- define "trireme.checkLabels" -}}
{{- $own := include "trireme.ownLabels" . | fromYaml }}
{{- $values := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels }}
{{- $_ := set $values "nodeCache.podLabels" .Values.nodeCache.podLabels }}
{{- $_ := set $values "metrics.monitorLabels" .Values.metrics.monitorLabels }}
{{- $_ := set $values "alerts.labels" .Values.alerts.labels }}
{{- $_ := set $values "dashboard.labels" .Values.dashboard.labels }}
{{- range $value, $labels := $values }}
{{- range $label, $_ := $labels }}
{{- if hasKey $own $label }}
{{- fail (printf "%s must not have %s: the chart sets it" $value $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses a budget that is there twice: which of the two is meant is not known. */}}
{{- define "trireme.checkBudgets" -}}
{{- $names := list }}
{{- range .Values.gpuBudgets }}
{{- if has .name $names }}
{{- fail (printf "gpuBudgets names %s more than once: remove all but one" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- end }}

{{/* The Lease that the replicas of this release take turns by, and those of no other. */}}
{{- define "trireme.leaseName" -}}
{{- printf "%s-leader" (include "trireme.fullname" .) }}
{{- end }}

{{/* A URL for people: without a user and password that may be in it. */}}
{{- define "trireme.publicURL" -}}
{{- regexReplaceAll "//[^/]*@" . "//" }}
{{- end }}

{{/* What the operator may do in the namespaces it watches. It reads no Secret, no log, and runs
nothing in pods. */}}
{{- define "trireme.rules" -}}
- apiGroups: [trireme.dev]
  resources: [agentdeployments]
  verbs: [get, list, watch, patch]   # patch: takes a consumed command's annotation away
- apiGroups: [trireme.dev]
  resources: [agentdeployments/status]
  verbs: [patch]
- apiGroups: [trireme.dev]
  resources: [agentdeployments/finalizers]
  verbs: [update]   # owner references that block deletion, where that is enforced
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]   # agents' control keys; any other verb, patch too, would answer with the content
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, create, delete]   # that inspect and optimise models; results are their pods'
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]   # of the pods that optimise models
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create, patch]   # of caches that are made from a storage class; none is deleted
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [metrics.k8s.io]
  resources: [pods]
  verbs: [list]   # what pods take of their memory, before more instances of a model are tried
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch, list]   # list: once of a pod that was slow to start, which says why
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  {{- if eq .Values.discovery "PodMonitor" }}
  verbs: [get, create, patch, delete]
  {{- else }}
  verbs: [list, delete]   # of those that were made while discovery was PodMonitor
  {{- end }}
{{- end }}
