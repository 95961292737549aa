{{- /* The image of (list IMAGE DEFAULT-TAG). */}}
{{- define "sluice.image" -}}
{{- $image := index . 0 -}}
{{- $tag := $image.tag | default (index . 1) -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{- /* Where pods of (list OWN ALL) may run; nothing where nothing was chosen. */}}
{{- define "sluice.placement" -}}
{{- $own := index . 0 -}}
{{- $all := index . 1 -}}
{{- with $all.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* What the operator is told besides. */}}
{{- define "sluice.operatorEnvironment" -}}
{{- with .Values.operator.secrets }}
- name: SLUICE_SECRETS
  value: {{ . }}
{{- end }}
{{- with .Values.operator.clusterDomain }}
- name: CLUSTER_DOMAIN
  value: {{ . }}
{{- end }}
{{- end -}}

{{- /* What the Service that takes traffic from outside has besides its type. */}}
{{- define "sluice.service" -}}
{{- $service := .Values.gateway.service -}}
{{- with $service.loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with $service.loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $service.externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- end -}}
