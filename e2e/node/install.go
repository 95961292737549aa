package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/step"
)

// insideFlag says that this process is in the node's network already.
const insideFlag = "--inside"

// install applies Sluice's manifest, and waits until all of it is available.
func install(ctx context.Context, folders layout.Folders, arguments []string) error {
	return inNetwork(folders, "install", arguments, func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		api, err := cluster.Open(folders.Kubeconfig())
		if err != nil {
			return err
		}
		progress := step.Begin(os.Stdout)
		err = progress.Do("sluice's manifest", func() (string, error) {
			count, err := api.ApplyProduct(ctx, string(text))
			return fmt.Sprintf("%d objects applied", count), err
		})
		if err != nil {
			return err
		}
		return productAvailable(ctx, api, progress)
	})
}

// release writes Knative's manifests, as its releases have them, into a folder.
func release(folders layout.Folders, arguments []string) error {
	if len(arguments) != 1 {
		return errUsage
	}
	built, err := readBuilt(folders)
	if err != nil {
		return err
	}
	files, err := built.knative().Release()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(arguments[0], 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(arguments[0], name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// restart replaces the pods of one of Sluice's Deployments.
func restart(ctx context.Context, folders layout.Folders, arguments []string) error {
	return inNetwork(folders, "restart", arguments, func(deployment string) error {
		api, err := cluster.Open(folders.Kubeconfig())
		if err != nil {
			return err
		}
		if err := api.Restart(ctx, cluster.ProductNamespace, deployment); err != nil {
			return err
		}
		return productAvailable(ctx, api, step.Begin(os.Stdout))
	})
}

func productAvailable(ctx context.Context, api *cluster.Cluster, progress *step.Progress) error {
	err := progress.Do("sluice", func() (string, error) {
		return "available", cluster.Until(ctx, deploymentLimit, nil, func(ctx context.Context) error {
			return api.Available(ctx, cluster.ProductNamespace)
		})
	})
	if err == nil {
		return nil
	}
	return errors.Join(err, errors.New(strings.Join(api.TellPods(context.WithoutCancel(ctx), cluster.ProductNamespace), "\n")))
}

// inNetwork runs a command of one argument in the node's network: this program is
// executed anew there, in the same folder.
func inNetwork(folders layout.Folders, command string, arguments []string, run func(string) error) error {
	if len(arguments) == 2 && arguments[0] == insideFlag {
		return run(arguments[1])
	}
	if len(arguments) != 1 {
		return errUsage
	}
	node, err := running(folders)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return node.Exec([]string{program, command, insideFlag, arguments[0]}, os.Environ())
}
