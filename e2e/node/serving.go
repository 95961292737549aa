package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice/e2e/node/internal/artifact"
	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/component"
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/registry"
	"sluice/e2e/node/internal/step"
	"sluice/e2e/node/internal/suite"
)

// testsGrace is for tests that are interrupted: they remove what they made.
const testsGrace = 30 * time.Second

// servingTests is what was built of Serving's own tests, as the second half reads it.
type servingTests struct {
	// Tests is the folder of the programs, Manifests that of what they take to be there.
	Tests     string
	Manifests string
	// Images is a template of their names; Archives hold them.
	Images   string
	Archives []string
}

// serving puts there what Serving's own tests take beside an ingress, and runs one
// suite of them if it is named. As up does, it builds on the machine and goes on in the
// node's network.
func serving(ctx context.Context, folders layout.Folders, arguments []string) error {
	var modules string
	var within, list bool
	flags := flag.NewFlagSet("serving", flag.ContinueOnError)
	flags.StringVar(&modules, "modules", "e2e", "folder of the Go modules")
	flags.BoolVar(&list, "list", false, "name the suites in their order, and no more")
	flags.BoolVar(&within, "inside", false, "the second half: in the node's network, with all built")
	if err := flags.Parse(arguments); err != nil {
		return errUsage
	}
	wanted, rest := flags.Args(), []string(nil)
	if len(wanted) > 1 && wanted[1] == "--" {
		wanted, rest = wanted[:1], wanted[2:]
	}
	if len(wanted) > 1 {
		return errUsage
	}
	if len(wanted) == 1 {
		if _, err := suite.Find(wanted[0]); err != nil {
			return err
		}
	}
	if list {
		fmt.Println(strings.Join(suite.Folders(), "\n"))
		return nil
	}
	progress := step.Begin(os.Stdout)
	if !within {
		return buildServing(ctx, folders, modules, progress, arguments)
	}
	built, err := readServing(folders)
	if err != nil {
		return err
	}
	api, err := cluster.Open(folders.Kubeconfig())
	if err != nil {
		return err
	}
	if err := furnishServing(ctx, folders, api, built, progress); err != nil || len(wanted) == 0 {
		return err
	}
	chosen, err := suite.Find(wanted[0])
	if err != nil {
		return err
	}
	return runSuite(ctx, folders, api, built, chosen, rest, progress)
}

func servingFile(folders layout.Folders) string { return filepath.Join(folders.Run(), "serving.json") }

func readServing(folders layout.Folders) (built servingTests, err error) {
	content, err := os.ReadFile(servingFile(folders))
	if err != nil {
		return built, err
	}
	return built, json.Unmarshal(content, &built)
}

// buildServing makes programs and images, then executes this program anew in the node.
func buildServing(ctx context.Context, folders layout.Folders, modules string, progress *step.Progress, arguments []string) error {
	node, err := running(folders)
	if err != nil {
		return err
	}
	lock, err := takeLock(folders)
	if err != nil {
		return err
	}
	defer lock.Close()
	builder := artifact.Builder{Modules: modules, Cache: folders.Artifacts(), Logs: node.Logs, Progress: progress}
	backends, err := builder.Build(ctx, artifact.ServingBackends())
	if err != nil {
		return err
	}
	tests, err := builder.Build(ctx, artifact.ServingTests(suite.Folders()))
	if err != nil {
		return err
	}
	const repository = "tests/"
	built := servingTests{
		Tests: tests.Folder, Manifests: backends.Folder,
		// All are of one build, so their names differ by the program's only.
		Images: layout.Registry + "/" + repository + "{{.Name}}:" + backends.Tag(),
	}
	for _, program := range artifact.TestBackends {
		archive, err := builder.Image(backends, program, layout.Registry, repository+program)
		if err != nil {
			return err
		}
		built.Archives = append(built.Archives, archive.Path)
	}
	content, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(servingFile(folders), content, 0o644); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{program, "serving", insideFlag}, arguments...)
	return node.Exec(argv, append(os.Environ(), progress.Environment()))
}

// furnishServing starts the registry and applies what the tests take to be there.
func furnishServing(ctx context.Context, folders layout.Folders, api *cluster.Cluster, built servingTests, progress *step.Progress) error {
	node, err := running(folders)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	spec := component.Registry(program, built.Archives)
	err = progress.Do(spec.Name, func() (string, error) {
		if err := node.Ensure(spec, daemonGrace); err != nil {
			return "", err
		}
		alive := func() error { return node.Ended(spec.Name) }
		return fmt.Sprintf("%d images to pull at %s", len(built.Archives), layout.Registry),
			cluster.Until(ctx, daemonLimit, alive, func(ctx context.Context) error { return answers(ctx, component.RegistryProbe) })
	})
	if err != nil {
		return err
	}
	return progress.Do("serving's tests", func() (string, error) {
		// What is /var/lib in the node is a folder of the machine.
		const volume = "volumes/serving-tests"
		if err := os.MkdirAll(filepath.Join(folders.Data(), volume), 0o755); err != nil {
			return "", err
		}
		count, err := api.ApplyServingTests(ctx, built.Manifests, filepath.Join("/var/lib", volume))
		return fmt.Sprintf("%d objects applied", count), err
	})
}

// runSuite runs one program of the tests, with Knative as that one wants it.
func runSuite(ctx context.Context, folders layout.Folders, api *cluster.Cluster, built servingTests, chosen suite.Suite, arguments []string, progress *step.Progress) error {
	as := func(ctx context.Context, wanted suite.Suite) error {
		if err := api.Configure(ctx, wanted.Change()); err != nil {
			return err
		}
		if err := api.Scale(ctx, cluster.Activator, wanted.Activators); err != nil {
			return err
		}
		return cluster.Until(ctx, deploymentLimit, nil, func(ctx context.Context) error {
			return api.Available(ctx, cluster.ServingNamespace)
		})
	}
	err := progress.Do("knative", func() (string, error) {
		return "as " + chosen.Folder + " wants it", as(ctx, chosen)
	})
	if err == nil {
		if err = tests(ctx, folders, built, chosen, arguments); err != nil {
			err = fmt.Errorf("suite %s: %w", chosen.Folder, err)
		}
	}
	return errors.Join(err, as(context.WithoutCancel(ctx), suite.None()))
}

// tests runs one program. What is asked for by the command line comes last, so it wins.
func tests(ctx context.Context, folders layout.Folders, built servingTests, chosen suite.Suite, arguments []string) error {
	argv := append([]string{
		"--enable-alpha", "--enable-beta", "--disable-logstream",
		"--ingress-class=" + layout.IngressClass,
		"--ingressendpoint=" + layout.NodeAddress,
		"--imagetemplate=" + built.Images,
	}, chosen.Arguments...)
	command := exec.CommandContext(ctx, filepath.Join(built.Tests, artifact.TestProgram(chosen.Folder)), append(argv, arguments...)...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.Env = append(os.Environ(),
		"KUBECONFIG="+folders.Kubeconfig(),
		"SYSTEM_NAMESPACE="+cluster.ServingNamespace,
		"GATEWAY_OVERRIDE="+cluster.Gateway,
		"GATEWAY_NAMESPACE_OVERRIDE="+cluster.ProductNamespace,
	)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	command.WaitDelay = testsGrace
	return command.Run()
}

// serveImages is the registry: a daemon of the node that serves the images of archives.
func serveImages(arguments []string) error {
	if len(arguments) < 2 {
		return errUsage
	}
	images, err := registry.Open(arguments[1:])
	if err != nil {
		return err
	}
	const patience = 10 * time.Second
	server := http.Server{Addr: arguments[0], Handler: images, ReadHeaderTimeout: patience}
	return server.ListenAndServe()
}
