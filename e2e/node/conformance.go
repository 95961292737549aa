package main

import (
	"os"
	"strings"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
)

// conformance runs Knative's ingress suite in the node's network: every tier, by
// NodePorts, with the backends that were built here. Arguments are the suite's own
// and come last, so they win.
func conformance(folders layout.Folders, arguments []string) error {
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	node, err := running(folders)
	if err != nil {
		return err
	}
	built, err := readBuilt(folders)
	if err != nil {
		return err
	}
	// All backends are of one build, so their images differ by the program's name only.
	template := strings.Replace(built.Backends["runtime"].Name, "/runtime:", "/{{.Name}}:", 1)
	argv := append([]string{
		built.Conformance,
		"--enable-alpha", "--enable-beta",
		"--ingressClass=" + layout.IngressClass,
		"--ingressendpoint=" + layout.NodeAddress,
		"--imagetemplate=" + template,
	}, arguments...)
	return node.Exec(argv, append(os.Environ(),
		"KUBECONFIG="+folders.Kubeconfig(),
		"SYSTEM_NAMESPACE="+cluster.ServingNamespace,
	))
}
