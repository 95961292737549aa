package component

import (
	"encoding/json"
	"fmt"

	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/pki"
	"sluice/e2e/node/internal/supervisor"
)

// MostPods of the node. Its range has 254 addresses; an ended pod's is free again
// only once its sandbox is gone.
const MostPods = 200

func (w writer) containerd() (supervisor.Spec, error) {
	network, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       layout.NodeName,
		"plugins": []any{
			map[string]any{
				"type":      "bridge",
				"bridge":    "pods",
				"isGateway": true,
				// A pod may reach itself through its own Service.
				"hairpinMode": true,
				"ipam": map[string]any{
					"type":   "host-local",
					"ranges": []any{[]any{map[string]any{"subnet": layout.PodRange}}},
					"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
		},
	}, "", "  ")
	if err != nil {
		return supervisor.Spec{}, err
	}
	networkFile, err := w.file("network/10-pods.conflist", network)
	if err != nil {
		return supervisor.Spec{}, err
	}
	// Where the registry is: containerd asks no DNS server of the cluster.
	_, err = w.file("registries/"+layout.Registry+"/hosts.toml", fmt.Appendf(nil, `server = "http://%[1]s"
[host."http://%[1]s"]
capabilities = ["pull", "resolve"]
`, layout.RegistryAddress))
	if err != nil {
		return supervisor.Spec{}, err
	}
	// The default root, state and socket lie in folders that are the node's own.
	configuration := fmt.Sprintf(`version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
# A container may not have a lower score than containerd itself: without
# CAP_SYS_RESOURCE runc cannot set one, and ends with "can't get final child's PID".
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %q
conf_dir = %q
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = %q
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
`, w.options.PauseImage, layout.CNIPlugins, w.path("network"), w.path("registries"))
	path, err := w.file("containerd.toml", []byte(configuration))
	if err != nil {
		return supervisor.Spec{}, err
	}
	return supervisor.Spec{
		Name:        "containerd",
		Argv:        []string{"/usr/bin/containerd", "--config", path},
		Environment: environment(),
		Files:       []string{path, networkFile},
	}, nil
}

func (w writer) kubelet() (supervisor.Spec, error) {
	kubeconfig, err := w.kubeconfig("kubelet", pki.Subject{
		User: "system:node:" + layout.NodeName, Groups: []string{"system:nodes"},
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	serving, err := w.authority.Issue("kubelet", pki.Subject{
		User: "system:node:" + layout.NodeName, Groups: []string{"system:nodes"},
		Names: []string{layout.NodeName}, Addresses: []string{layout.NodeAddress},
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	// Names outside the cluster lead nowhere, so nothing of the machine's resolver is taken.
	resolver, err := w.file("resolv.conf", []byte("nameserver "+layout.DNSServiceAddress+"\n"))
	if err != nil {
		return supervisor.Spec{}, err
	}
	path, err := w.yaml("kubelet.yaml", map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": w.authority.Certificate},
		},
		"authorization":            map[string]any{"mode": "Webhook"},
		"tlsCertFile":              serving.Certificate,
		"tlsPrivateKeyFile":        serving.Key,
		"clusterDNS":               []string{layout.DNSServiceAddress},
		"clusterDomain":            layout.ClusterSuffix,
		"resolvConf":               resolver,
		"containerRuntimeEndpoint": "unix://" + layout.ContainerdSocket,
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               w.folders.Cgroup(),
		// Version 1 is refused by default; a machine has what it has.
		"failCgroupV1": false,
		"failSwapOn":   false,
		// The machine has other work: the node reserves nothing for itself.
		"enforceNodeAllocatable": []string{},
		// It is the machine's disk, and its other users decide how full it is.
		"evictionHard": map[string]string{
			"memory.available": "1%", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
		},
		"imageGCHighThresholdPercent": 100,
		"maxPods":                     MostPods,
		// An unprivileged machine may not lower its own score.
		"oomScoreAdj":               0,
		"serializeImagePulls":       false,
		"nodeStatusUpdateFrequency": "4s",
		// Tests wait for what a changed ConfigMap or Secret does in a pod.
		"syncFrequency": "10s",
		"kubeAPIQPS":    100,
		"kubeAPIBurst":  200,
		"registerNode":  true,
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	return w.component("kubelet", []string{path, kubeconfig, serving.Certificate},
		"--config="+path,
		"--kubeconfig="+kubeconfig,
		"--hostname-override="+layout.NodeName,
		"--node-ip="+layout.NodeAddress,
	), nil
}

func (w writer) proxy() (supervisor.Spec, error) {
	kubeconfig, err := w.kubeconfig("kube-proxy", pki.Subject{User: "system:kube-proxy"})
	if err != nil {
		return supervisor.Spec{}, err
	}
	path, err := w.yaml("kube-proxy.yaml", map[string]any{
		"apiVersion":       "kubeproxy.config.k8s.io/v1alpha1",
		"kind":             "KubeProxyConfiguration",
		"clientConnection": map[string]any{"kubeconfig": kubeconfig},
		"hostnameOverride": layout.NodeName,
		"clusterCIDR":      layout.PodRange,
		"mode":             "iptables",
		// The table's size is the machine's, and not to be set from a namespace.
		"conntrack": map[string]any{"maxPerCore": 0, "min": 0},
		// A change of endpoints is to be in force before a test can tell.
		"iptables": map[string]any{"minSyncPeriod": "100ms", "syncPeriod": "30s"},
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	return w.component("kube-proxy", []string{path, kubeconfig}, "--config="+path), nil
}
