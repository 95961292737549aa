// Package component says how each daemon of the node is run: its arguments and its
// configuration file. Every setting that is not a default has its reason beside it.
//
// Reads: nothing but what it is given.
// Gives: the certificates, kubeconfigs and files in the configuration folder; specs to supervise.
// Never: starts a daemon.
package component

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"sigs.k8s.io/yaml"

	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/pki"
	"sluice/e2e/node/internal/supervisor"
)

// Loopback of the node's own network; no pod reaches it.
const (
	etcdClientPort = 2379
	etcdPeerPort   = 2380
)

// Server is the API server's address inside the node's network.
var Server = "https://" + net.JoinHostPort(layout.NodeAddress, strconv.Itoa(layout.APIPort))

// EtcdHealth answers once etcd serves.
var EtcdHealth = fmt.Sprintf("http://127.0.0.1:%d/health", etcdClientPort)

// Options of a node.
type Options struct {
	// Kubernetes is the folder of the components' programs.
	Kubernetes string
	// PauseImage holds the namespaces of every pod.
	PauseImage string
	// Audit asks the API server for a log of every request's metadata, audit.log.
	Audit bool
}

// Daemons are the node's, in groups by what must be ready before what.
type Daemons struct {
	Etcd       supervisor.Spec
	Containerd supervisor.Spec
	APIServer  supervisor.Spec
	// Rest needs the API server.
	Rest []supervisor.Spec
}

type writer struct {
	folders   layout.Folders
	options   Options
	authority *pki.Authority
	tokens    pki.Pair
}

// Write makes everything that the daemons read.
func Write(folders layout.Folders, options Options) (Daemons, error) {
	certificates := filepath.Join(folders.Configuration(), "pki")
	authority, err := pki.OpenAuthority(certificates)
	if err != nil {
		return Daemons{}, err
	}
	tokens, err := pki.SigningKey(certificates)
	if err != nil {
		return Daemons{}, err
	}
	w := writer{folders: folders, options: options, authority: authority, tokens: tokens}
	if err := authority.Kubeconfig(folders.Kubeconfig(), Server, pki.Subject{User: "admin", Groups: []string{"system:masters"}}); err != nil {
		return Daemons{}, err
	}

	daemons := Daemons{Etcd: w.etcd()}
	if daemons.Containerd, err = w.containerd(); err != nil {
		return Daemons{}, err
	}
	if daemons.APIServer, err = w.apiServer(); err != nil {
		return Daemons{}, err
	}
	for _, make := range []func() (supervisor.Spec, error){w.controllerManager, w.scheduler, w.kubelet, w.proxy} {
		spec, err := make()
		if err != nil {
			return Daemons{}, err
		}
		daemons.Rest = append(daemons.Rest, spec)
	}
	return daemons, nil
}

func (w writer) path(name string) string { return filepath.Join(w.folders.Configuration(), name) }

// file writes a configuration file. One with the same content is left alone: kube-proxy
// ends itself when somebody writes to its own.
func (w writer) file(name string, content []byte) (string, error) {
	path := w.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
		return path, nil
	}
	return path, os.WriteFile(path, content, 0o600)
}

func (w writer) yaml(name string, value any) (string, error) {
	content, err := yaml.Marshal(value)
	if err != nil {
		return "", err
	}
	return w.file(name, content)
}

func (w writer) kubeconfig(name string, subject pki.Subject) (string, error) {
	path := w.path(name + ".kubeconfig")
	return path, w.authority.Kubeconfig(path, Server, subject)
}

// spec of a Kubernetes component; files are what it reads at its start.
func (w writer) component(name string, files []string, flags ...string) supervisor.Spec {
	return supervisor.Spec{
		Name:        name,
		Argv:        append([]string{filepath.Join(w.options.Kubernetes, name)}, flags...),
		Environment: environment(),
		Files:       files,
	}
}

func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "GODEBUG=madvdontneed=1"}
}
