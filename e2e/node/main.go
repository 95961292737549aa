// The node: a real Kubernetes of one node on a Debian machine, with no container
// tool and no registry, for tests from end to end.
//
// Reads: the Go modules beside this one; Debian's containerd, runc, CNI plugins.
// Gives: a cluster with Knative Serving, in namespaces of its own; its kubeconfig; logs.
// Never: changes the machine's network, mounts or services; outlives `down`.
// Start: up.go is the whole of it in order; internal/supervisor is how it is kept apart.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/supervisor"
)

const usage = `usage: node COMMAND

  up [--audit] [--bare] [--modules DIR]
                                bring the node up, or what is missing of it; bare is
                                without Knative
  down                          end it, and remove all it made but caches and logs
  status                        what runs; exit 1 where something does not
  kubeconfig                    print the path of the administrator's kubeconfig
  exec -- PROGRAM [ARGUMENT…]   run a program in the node's network, with KUBECONFIG set
  enter -- PROGRAM [ARGUMENT…]  run a program in all of the node's namespaces
  conformance [-- ARGUMENT…]    run Knative's ingress suite, with arguments of its own
  serving [SUITE [-- ARGUMENT…]]
                                put there what Knative Serving's own tests take, and run
                                one suite of them, of those that serving --list names
  backends plain | backends tls have the suite's backends speak so
  load ARCHIVE…                 import container images
  knative DIR                   write Knative's manifests, as its releases have them
  install MANIFEST              apply Sluice's manifest, and wait until it is available
  restart DEPLOYMENT            replace the pods of one of Sluice's Deployments, and wait
  start DAEMON | stop DAEMON    for tests of bad days
`

// errUsage ends the program by the usage text.
var errUsage = errors.New("usage")

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errUsage
	}
	folders, err := layout.Find()
	if err != nil {
		return err
	}
	command, rest := arguments[0], arguments[1:]
	switch command {
	case "up":
		return up(ctx, folders, rest)
	case "down":
		return down(folders)
	case "status":
		return status(folders)
	case "kubeconfig":
		if _, err := running(folders); err != nil {
			return err
		}
		fmt.Println(folders.Kubeconfig())
		return nil
	case "exec", "enter":
		return execute(folders, command, rest)
	case "conformance":
		return conformance(folders, rest)
	case "serving":
		return serving(ctx, folders, rest)
	case "backends":
		return backends(ctx, folders, rest)
	case "load":
		return load(folders, rest)
	case "install":
		return install(ctx, folders, rest)
	case "knative":
		return release(folders, rest)
	case "restart":
		return restart(ctx, folders, rest)
	case "start", "stop":
		return switchDaemon(folders, command, rest)
	case "registry":
		// A daemon that `serving` starts.
		return serveImages(rest)
	case "init":
		// Started by `up` as the first process of the node's namespaces.
		if len(rest) != 1 || os.Getpid() != 1 {
			return errUsage
		}
		return supervisor.Main(folders, rest[0])
	default:
		return errUsage
	}
}

// running is the node, or an error that says how to have one.
func running(folders layout.Folders) (*supervisor.Node, error) {
	node, err := supervisor.Find(folders)
	if err == nil && node == nil {
		err = errors.New("the node does not run; make cluster brings it up")
	}
	return node, err
}
