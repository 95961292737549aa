package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/e2e/node/internal/artifact"
	"sluice/e2e/node/internal/cgroup"
	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/component"
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/step"
	"sluice/e2e/node/internal/supervisor"
)

// daemonGrace is between SIGTERM and SIGKILL.
const daemonGrace = 20 * time.Second

// Limits of what is waited for, each several times what it takes on two busy cores.
const (
	daemonLimit     = time.Minute
	nodeLimit       = 2 * time.Minute
	deploymentLimit = 4 * time.Minute
)

// lockVariable hands the lock's descriptor on to the second half of `up`.
const lockVariable = "SLUICE_NODE_LOCK"

type upOptions struct {
	audit   bool
	bare    bool
	modules string
	inside  bool
}

// up brings the node up in two halves: builds and namespaces on the machine, then,
// executed anew inside the node's network, daemons and cluster.
func up(ctx context.Context, folders layout.Folders, arguments []string) error {
	var options upOptions
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.BoolVar(&options.audit, "audit", false, "have the API server log each request's metadata to audit.log")
	flags.BoolVar(&options.bare, "bare", false, "leave Knative to whoever installs it")
	flags.StringVar(&options.modules, "modules", "e2e", "folder of the Go modules")
	flags.BoolVar(&options.inside, "inside", false, "the second half: in the node's network, with all built")
	if err := flags.Parse(arguments); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	progress := step.Begin(os.Stdout)
	if options.inside {
		if err := inside(ctx, folders, options, progress); err != nil {
			return err
		}
		return nil
	}

	if err := os.MkdirAll(folders.Artifacts(), 0o755); err != nil {
		return err
	}
	if err := checkMachine(folders); err != nil {
		return err
	}
	lock, err := takeLock(folders)
	if err != nil {
		return err
	}
	defer lock.Close()

	node, err := supervisor.Find(folders)
	if err != nil {
		return err
	}
	var logs string
	if node != nil {
		logs = node.Logs
	} else if logs, err = newLogs(folders); err != nil {
		return err
	}
	built, err := buildAll(ctx, artifact.Builder{
		Modules: options.modules, Cache: folders.Artifacts(), Logs: logs, Progress: progress,
	})
	if err != nil {
		return err
	}
	if node == nil {
		if node, err = begin(folders, logs, progress); err != nil {
			return err
		}
	} else {
		progress.Say("namespaces", "there already, first process %d", node.PID)
	}
	if err := built.write(folders); err != nil {
		return err
	}
	return goInside(node, options, lock, progress)
}

// begin makes the namespaces and cgroups of a node, after whatever an earlier one left.
func begin(folders layout.Folders, logs string, progress *step.Progress) (node *supervisor.Node, err error) {
	return node, progress.Do("namespaces", func() (string, error) {
		if err := clean(folders); err != nil {
			return "", err
		}
		if err := cgroup.Ensure(folders.Cgroup()); err != nil {
			return "", err
		}
		if node, err = supervisor.Start(folders, logs); err != nil {
			return "", err
		}
		return fmt.Sprintf("made, first process %d", node.PID), nil
	})
}

// goInside executes this program anew in the node's network. The lock goes with it.
func goInside(node *supervisor.Node, options upOptions, lock *os.File, progress *step.Progress) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(lock.Fd(), unix.F_SETFD, 0); err != nil {
		return err
	}
	argv := []string{program, "up", "--inside"}
	if options.audit {
		argv = append(argv, "--audit")
	}
	if options.bare {
		argv = append(argv, "--bare")
	}
	return node.Exec(argv, append(os.Environ(), progress.Environment(), fmt.Sprintf("%s=%d", lockVariable, lock.Fd())))
}

func inside(ctx context.Context, folders layout.Folders, options upOptions, progress *step.Progress) error {
	if err := keepLock(); err != nil {
		return err
	}
	node, err := running(folders)
	if err != nil {
		return err
	}
	built, err := readBuilt(folders)
	if err != nil {
		return err
	}
	var daemons component.Daemons
	err = progress.Do("configuration", func() (string, error) {
		daemons, err = component.Write(folders, component.Options{
			Kubernetes: built.Kubernetes, PauseImage: built.Pause.Name, Audit: options.audit,
		})
		return folders.Configuration(), err
	})
	if err != nil {
		return err
	}
	api, err := cluster.Open(folders.Kubeconfig())
	if err != nil {
		return err
	}
	if err := startDaemons(ctx, node, daemons, built, api, progress); err != nil {
		return err
	}
	if err := furnish(ctx, api, built, options.bare, progress); err != nil {
		return err
	}
	asked := cluster.Asked{
		Backend: built.Backends["runtime"].Name, Proxy: built.Backends["httpproxy"].Name, Knative: !options.bare,
	}
	err = api.Prove(ctx, asked, func(proof cluster.Proof) {
		progress.Say(proof.Name, "%s (%.1fs)", proof.Outcome, proof.Took.Seconds())
	})
	if err != nil {
		return err
	}
	progress.Say("up", "KUBECONFIG=%s, in the network of process %d; logs in %s", folders.Kubeconfig(), node.PID, node.Logs)
	return nil
}

// startDaemons starts what is not running, in the order in which each needs another.
func startDaemons(ctx context.Context, node *supervisor.Node, daemons component.Daemons, built everything, api *cluster.Cluster, progress *step.Progress) error {
	ensure := func(spec supervisor.Spec, ready func(context.Context) error) error {
		return progress.Do(spec.Name, func() (string, error) {
			if err := node.Ensure(spec, daemonGrace); err != nil {
				return "", err
			}
			alive := func() error { return node.Ended(spec.Name) }
			return "ready", cluster.Until(ctx, daemonLimit, alive, ready)
		})
	}
	if err := ensure(daemons.Containerd, func(ctx context.Context) error {
		_, err := images(ctx, node)
		return err
	}); err != nil {
		return err
	}
	// Images are unpacked while the API server starts: the one waits for the disk,
	// the other for the processor.
	var loading sync.WaitGroup
	var loaded error
	loading.Go(func() {
		loaded = progress.Do("images", func() (string, error) { return loadImages(ctx, node, built.archives()) })
	})
	err := func() error {
		if err := ensure(daemons.Etcd, func(ctx context.Context) error { return answers(ctx, component.EtcdHealth) }); err != nil {
			return err
		}
		if err := ensure(daemons.APIServer, api.Ready); err != nil {
			return err
		}
		version, err := api.Version()
		if err != nil {
			return err
		}
		if version != built.Version {
			return fmt.Errorf("the API server says it is %s, expected %s", version, built.Version)
		}
		return progress.Do("node", func() (string, error) {
			var names []string
			for _, spec := range daemons.Rest {
				if err := node.Ensure(spec, daemonGrace); err != nil {
					return "", err
				}
				names = append(names, spec.Name)
			}
			alive := func() error {
				var ended []error
				for _, name := range names {
					ended = append(ended, node.Ended(name))
				}
				return errors.Join(ended...)
			}
			return version + " ready", cluster.Until(ctx, nodeLimit, alive, func(ctx context.Context) error {
				return api.NodeReady(ctx, layout.NodeName)
			})
		})
	}()
	loading.Wait()
	return errors.Join(err, loaded)
}

// answers is nil once a page of a daemon is there.
func answers(ctx context.Context, page string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", page, response.Status)
	}
	return nil
}

// furnish puts DNS and, unless it is to be bare, Knative into the cluster.
func furnish(ctx context.Context, api *cluster.Cluster, built everything, bare bool, progress *step.Progress) error {
	err := progress.Do("manifests", func() (string, error) {
		if err := api.ApplyDNS(ctx, built.CoreDNS.Name); err != nil {
			return "", err
		}
		return "CoreDNS applied", api.ApplyTestNamespaces(ctx)
	})
	if err != nil {
		return err
	}
	if err := available(ctx, api, "coredns", cluster.DNSNamespace, progress); err != nil || bare {
		return err
	}
	err = progress.Do("knative's manifests", func() (string, error) {
		count, err := api.ApplyKnative(ctx, built.knative())
		return fmt.Sprintf("%d objects applied", count), err
	})
	if err != nil {
		return err
	}
	if err := available(ctx, api, "knative", cluster.ServingNamespace, progress); err != nil {
		return err
	}
	return progress.Do("webhooks", func() (string, error) {
		return "admit what is right and refuse what is not", cluster.Until(ctx, daemonLimit, nil, api.WebhooksAdmit)
	})
}

// available waits for all Deployments of a namespace.
func available(ctx context.Context, api *cluster.Cluster, name, namespace string, progress *step.Progress) error {
	return progress.Do(name, func() (string, error) {
		return "available", cluster.Until(ctx, deploymentLimit, nil, func(ctx context.Context) error {
			return api.Available(ctx, namespace)
		})
	})
}
