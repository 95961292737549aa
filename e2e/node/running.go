package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/e2e/node/internal/artifact"
	"sluice/e2e/node/internal/cgroup"
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/supervisor"
)

// down ends the node and removes everything but caches and logs.
func down(folders layout.Folders) error {
	if _, err := os.Stat(folders.Cache); errors.Is(err, os.ErrNotExist) {
		fmt.Println("no node was ever here")
		return nil
	}
	lock, err := takeLock(folders)
	if err != nil {
		return err
	}
	defer lock.Close()
	began := time.Now()
	if err := clean(folders); err != nil {
		return err
	}
	fmt.Printf("node down in %.1fs; logs stay in %s\n", time.Since(began).Seconds(), folders.Logs())
	return nil
}

// clean ends a node that runs and removes what one leaves that was ended otherwise.
func clean(folders layout.Folders) error {
	node, err := supervisor.Find(folders)
	if err != nil {
		return err
	}
	if node != nil {
		if err := node.Kill(); err != nil {
			return err
		}
	}
	if err := cgroup.Remove(folders.Cgroup()); err != nil {
		return err
	}
	// The node's mounts are seen by the node only. Were one here nevertheless, what is
	// below it is not the node's to remove.
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), " "+folders.Run()+"/") {
		return fmt.Errorf("something is mounted below %s; unmount it first", folders.Run())
	}
	return os.RemoveAll(folders.Run())
}

// status prints what runs.
func status(folders layout.Folders) error {
	node, err := running(folders)
	if err != nil {
		return err
	}
	states, err := node.List()
	if err != nil {
		return err
	}
	fmt.Printf("%-24s pid %d, logs %s\n", "node", node.PID, node.Logs)
	var ended []string
	for _, state := range states {
		if state.Running {
			fmt.Printf("%-24s up since %s\n", state.Name, state.Started.Format(time.TimeOnly))
		} else {
			fmt.Printf("%-24s ended: %s\n", state.Name, state.Ended)
			ended = append(ended, state.Name)
		}
	}
	if len(ended) > 0 {
		return fmt.Errorf("%s: not running; up starts what is missing", strings.Join(ended, ", "))
	}
	return nil
}

// execute runs a program in the node's network, or in all of its namespaces.
func execute(folders layout.Folders, command string, arguments []string) error {
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 {
		return errUsage
	}
	node, err := running(folders)
	if err != nil {
		return err
	}
	if command == "exec" {
		return node.Exec(arguments, append(os.Environ(), "KUBECONFIG="+folders.Kubeconfig()))
	}
	program := node.Command(context.Background(), arguments...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = program.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		os.Exit(failed.ExitCode())
	}
	return err
}

// switchDaemon stops or starts one of the daemons.
func switchDaemon(folders layout.Folders, command string, arguments []string) error {
	if len(arguments) != 1 {
		return errUsage
	}
	node, err := running(folders)
	if err != nil {
		return err
	}
	if command == "stop" {
		return node.Stop(arguments[0], daemonGrace)
	}
	return node.Resume(arguments[0])
}

// load imports images from archives, each under the name it carries.
func load(folders layout.Folders, archives []string) error {
	if len(archives) == 0 {
		return errUsage
	}
	node, err := running(folders)
	if err != nil {
		return err
	}
	for _, archive := range archives {
		path, err := filepath.Abs(archive)
		if err != nil {
			return err
		}
		if err := importImage(context.Background(), node, path); err != nil {
			return err
		}
	}
	return nil
}

// images in the node, by name.
func images(ctx context.Context, node *supervisor.Node) ([]string, error) {
	said, err := containerd(ctx, node, "images", "list", "--quiet")
	return strings.Fields(said), err
}

// loadImages imports what the node does not have yet.
func loadImages(ctx context.Context, node *supervisor.Node, archives []artifact.Archive) (string, error) {
	there, err := images(ctx, node)
	if err != nil {
		return "", err
	}
	imported := 0
	for _, archive := range archives {
		if slices.Contains(there, archive.Name) {
			continue
		}
		if err := importImage(ctx, node, archive.Path); err != nil {
			return "", err
		}
		imported++
	}
	return fmt.Sprintf("%d imported, %d there already", imported, len(archives)-imported), nil
}

func importImage(ctx context.Context, node *supervisor.Node, path string) error {
	_, err := containerd(ctx, node, "images", "import", path)
	return err
}

// containerd asks the node's containerd, in the namespace that the kubelet uses.
func containerd(ctx context.Context, node *supervisor.Node, arguments ...string) (string, error) {
	argv := append([]string{"ctr", "--address", layout.ContainerdSocket, "--connect-timeout", "5s", "--namespace", "k8s.io"}, arguments...)
	command := node.Command(ctx, argv...)
	said, err := command.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(failed.Stderr)))
	}
	return string(said), err
}
