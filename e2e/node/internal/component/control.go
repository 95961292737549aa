package component

import (
	"fmt"
	"path/filepath"

	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/pki"
	"sluice/e2e/node/internal/supervisor"
)

// frontProxy is the one client that may speak for others.
const frontProxy = "front-proxy-client"

func (w writer) etcd() supervisor.Spec {
	client := fmt.Sprintf("http://127.0.0.1:%d", etcdClientPort)
	peer := fmt.Sprintf("http://127.0.0.1:%d", etcdPeerPort)
	return w.component("etcd", nil,
		"--name="+layout.NodeName,
		"--data-dir=/var/lib/etcd",
		"--listen-client-urls="+client,
		"--advertise-client-urls="+client,
		"--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer,
		"--initial-cluster="+layout.NodeName+"="+peer,
		"--log-level=warn",
		// What is written outlives etcd, but not the machine; nor does the node, and
		// a busy disk is not to make a write to the API take seconds.
		"--unsafe-no-fsync",
	)
}

func (w writer) apiServer() (supervisor.Spec, error) {
	serving, err := w.authority.Issue("kube-apiserver", pki.Subject{
		User: "kube-apiserver",
		Names: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc." + layout.ClusterSuffix,
		},
		Addresses: []string{layout.NodeAddress, layout.APIServiceAddress, "127.0.0.1"},
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	toKubelet, err := w.authority.Issue("kube-apiserver-kubelet", pki.Subject{
		User: "kube-apiserver-kubelet", Groups: []string{"system:masters"},
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	aggregator, err := w.authority.Issue("front-proxy", pki.Subject{User: frontProxy})
	if err != nil {
		return supervisor.Spec{}, err
	}
	flags := []string{
		"--advertise-address=" + layout.NodeAddress,
		fmt.Sprintf("--secure-port=%d", layout.APIPort),
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdClientPort),
		"--client-ca-file=" + w.authority.Certificate,
		"--tls-cert-file=" + serving.Certificate,
		"--tls-private-key-file=" + serving.Key,
		"--kubelet-certificate-authority=" + w.authority.Certificate,
		"--kubelet-client-certificate=" + toKubelet.Certificate,
		"--kubelet-client-key=" + toKubelet.Key,
		// The node's name is known to no DNS, so logs and exec go by its address.
		"--kubelet-preferred-address-types=InternalIP",
		// Whoever serves an API of its own trusts what this one says of the caller.
		"--requestheader-client-ca-file=" + w.authority.Certificate,
		"--requestheader-allowed-names=" + frontProxy,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + aggregator.Certificate,
		"--proxy-client-key-file=" + aggregator.Key,
		"--service-account-issuer=https://kubernetes.default.svc." + layout.ClusterSuffix,
		"--service-account-key-file=" + w.tokens.Certificate,
		"--service-account-signing-key-file=" + w.tokens.Key,
		"--service-cluster-ip-range=" + layout.ServiceRange,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--profiling=false",
	}
	files := []string{w.authority.Certificate, serving.Certificate, w.tokens.Certificate}
	if w.options.Audit {
		policy, err := w.yaml("audit-policy.yaml", map[string]any{
			"apiVersion": "audit.k8s.io/v1",
			"kind":       "Policy",
			"omitStages": []string{"RequestReceived"},
			"rules":      []any{map[string]any{"level": "Metadata"}},
		})
		if err != nil {
			return supervisor.Spec{}, err
		}
		files = append(files, policy)
		flags = append(flags,
			"--audit-policy-file="+policy,
			"--audit-log-path="+filepath.Join(layout.NodeLogs, "audit.log"),
		)
	}
	return w.component("kube-apiserver", files, flags...), nil
}

func (w writer) controllerManager() (supervisor.Spec, error) {
	const name = "kube-controller-manager"
	kubeconfig, err := w.kubeconfig(name, pki.Subject{User: "system:" + name})
	if err != nil {
		return supervisor.Spec{}, err
	}
	return w.component(name, []string{kubeconfig},
		"--kubeconfig="+kubeconfig,
		"--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1",
		"--root-ca-file="+w.authority.Certificate,
		"--cluster-signing-cert-file="+w.authority.Certificate,
		"--cluster-signing-key-file="+w.authority.Key,
		"--service-account-private-key-file="+w.tokens.Key,
		// Each controller by its own account, with its own limit of requests.
		"--use-service-account-credentials=true",
		"--allocate-node-cidrs=true",
		"--cluster-cidr="+layout.PodRange,
		"--node-cidr-mask-size=24",
		"--service-cluster-ip-range="+layout.ServiceRange,
		// There is one of it: an election only delays the start.
		"--leader-elect=false",
		"--profiling=false",
	), nil
}

func (w writer) scheduler() (supervisor.Spec, error) {
	const name = "kube-scheduler"
	kubeconfig, err := w.kubeconfig(name, pki.Subject{User: "system:" + name})
	if err != nil {
		return supervisor.Spec{}, err
	}
	return w.component(name, []string{kubeconfig},
		"--kubeconfig="+kubeconfig,
		"--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--profiling=false",
	), nil
}
