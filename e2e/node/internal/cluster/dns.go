package cluster

import (
	"context"
	"fmt"

	"sluice/e2e/node/internal/layout"
)

// DNSNamespace is where a cluster's DNS server lives.
const DNSNamespace = "kube-system"

// dnsPort is one that takes no privilege to listen on.
const dnsPort = 1053

// ApplyDNS puts the DNS server there, and does not wait for it. That a name is not
// there it never remembers: who asks too early asks again.
func (c *Cluster) ApplyDNS(ctx context.Context, image string) error {
	objects, err := readObjects(fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: coredns, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
  - {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{kind: ServiceAccount, name: coredns, namespace: %[1]s}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: %[1]s}
data:
  Corefile: |
    .:%[2]d {
      errors
      health
      ready
      kubernetes %[3]s in-addr.arpa {
        ttl 5
      }
      cache 5 {
        disable denial
      }
    }
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: %[1]s, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: %[4]s
  selector: {k8s-app: kube-dns}
  ports:
    - {name: dns, port: 53, protocol: UDP, targetPort: %[2]d}
    - {name: dns-tcp, port: 53, protocol: TCP, targetPort: %[2]d}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: %[1]s, labels: {k8s-app: kube-dns}}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      serviceAccountName: coredns
      priorityClassName: system-cluster-critical
      dnsPolicy: Default
      containers:
        - name: coredns
          image: %[5]s
          args: [-conf, /configuration/Corefile]
          readinessProbe:
            httpGet: {path: /ready, port: 8181}
            periodSeconds: 1
          livenessProbe:
            httpGet: {path: /health, port: 8080}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts: [{name: configuration, mountPath: /configuration}]
      volumes: [{name: configuration, configMap: {name: coredns}}]
`, DNSNamespace, dnsPort, layout.ClusterSuffix, layout.DNSServiceAddress, image))
	if err != nil {
		return err
	}
	return c.Apply(ctx, objects)
}
