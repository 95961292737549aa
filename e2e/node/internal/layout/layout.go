// Package layout says where everything of the node lies: folders on the machine,
// addresses inside the node's own network.
//
// Reads: XDG_CACHE_HOME, HOME.
// Gives: paths, addresses and the cgroup; the one place where they are decided.
// Never: makes a folder or opens a file.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The node's addresses. 198.18.0.0/15 is set apart for tests of networks, so these
// meet no real network; nothing outside the node's network namespace knows them.
const (
	NodeName    = "sluice-node"
	NodeAddress = "198.18.0.1"
	NodeSubnet  = "198.18.0.1/24"
	// The first address of ServiceRange is always the API server's own Service.
	ServiceRange      = "198.19.0.0/16"
	APIServiceAddress = "198.19.0.1"
	DNSServiceAddress = "198.19.0.10"
	PodRange          = "198.51.0.0/24"
	APIPort           = 6443
	ClusterSuffix     = "cluster.local"
	// Registry is by what Knative and containerd ask for the images of Serving's tests:
	// a name of the cluster for pods, RegistryAddress for containerd. It ends in .local,
	// so who resolves a tag asks in plain HTTP.
	Registry        = "registry.kube-system.svc." + ClusterSuffix + ":5000"
	RegistryAddress = NodeAddress + ":5000"
	// The gateway's class, asked for by every Ingress that Knative's Routes make.
	IngressClass = "sluice.ingress.networking.knative.dev"
)

// Where Debian's packages put what the node uses of them.
const (
	CNIPlugins = "/usr/lib/cni"
)

// Paths inside the node's mount namespace: its own /run, /var/lib and /var/log hide
// the machine's, so that every hard-coded path of Kubernetes stays in the node.
const (
	ContainerdSocket = "/run/containerd/containerd.sock"
	NodeLogs         = "/var/log"
)

// The longest path that a Unix socket can have (sun_path of sockaddr_un, less its NUL).
const longestSocket = 107

// Folders of one machine's node.
type Folders struct {
	// Cache holds all of them; absolute.
	Cache string
}

// Find names the folders, by $XDG_CACHE_HOME or ~/.cache.
func Find() (Folders, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home := os.Getenv("HOME")
		if home == "" {
			return Folders{}, errors.New("neither XDG_CACHE_HOME nor HOME is set; set one, the node is kept below it")
		}
		base = filepath.Join(home, ".cache")
	}
	base, err := filepath.Abs(base)
	if err != nil {
		return Folders{}, err
	}
	if base, err = resolve(base); err != nil {
		return Folders{}, err
	}
	folders := Folders{Cache: below(base)}
	for _, hidden := range []string{"/run", "/var/run", "/var/lib", "/var/log"} {
		if strings.HasPrefix(folders.Cache+"/", hidden+"/") {
			return Folders{}, fmt.Errorf("cache folder %s lies below %s, which the node hides; set XDG_CACHE_HOME elsewhere", folders.Cache, hidden)
		}
	}
	if length := len(folders.ControlSocket()); length > longestSocket {
		return Folders{}, fmt.Errorf("cache folder %s is too long by %d bytes for a socket below it; set XDG_CACHE_HOME to a shorter one", folders.Cache, length-longestSocket)
	}
	return folders, nil
}

// resolve follows the links of as much of a path as exists.
func resolve(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) && filepath.Dir(path) != path {
		parent, err := resolve(filepath.Dir(path))
		return filepath.Join(parent, filepath.Base(path)), err
	}
	return resolved, err
}

// Cgroup that all pods of the node are below, as the kubelet is told it. It is all that
// nodes of several cache folders share of the machine, so each has one of its own.
func (f Folders) Cgroup() string {
	const name = "/" + NodeName
	if home, err := resolve(filepath.Join(os.Getenv("HOME"), ".cache")); err == nil && f.Cache == below(home) {
		return name
	}
	hash := sha256.Sum256([]byte(f.Cache))
	return name + "-" + hex.EncodeToString(hash[:4])
}

// below is the node's folder in a folder of caches.
func below(base string) string { return filepath.Join(base, "sluice", "node") }

// Artifacts holds what is built, each in a folder named by a hash of all it is made of.
func (f Folders) Artifacts() string { return filepath.Join(f.Cache, "artifacts") }

// Logs holds one folder per start of the node; they outlive it.
func (f Folders) Logs() string { return filepath.Join(f.Cache, "logs") }

// LatestLogs is a link to the folder of the latest start.
func (f Folders) LatestLogs() string { return filepath.Join(f.Logs(), "latest") }

// Lock is held by whoever changes the node.
func (f Folders) Lock() string { return filepath.Join(f.Cache, "lock") }

// Run holds all that the running node writes, and is removed with it.
func (f Folders) Run() string { return filepath.Join(f.Cache, "run") }

// Data is the node's /var/lib.
func (f Folders) Data() string { return filepath.Join(f.Run(), "data") }

// Configuration holds certificates, kubeconfigs and the components' own files.
func (f Folders) Configuration() string { return filepath.Join(f.Run(), "configuration") }

// Kubeconfig is the administrator's; its server is reached inside the node's network.
func (f Folders) Kubeconfig() string { return filepath.Join(f.Run(), "kubeconfig") }

// Init names the node's first process, by pid and start time.
func (f Folders) Init() string { return filepath.Join(f.Run(), "init.json") }

// ControlSocket is where the node's first process takes orders.
func (f Folders) ControlSocket() string { return filepath.Join(f.Run(), "control.sock") }
