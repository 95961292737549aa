//go:build installs

// Package installs has `sluice install knative`, and what takes it back, at work on a
// node that has Kubernetes and nothing else: interrupted, refused, repeated, undone; and
// `sluice migrate`, from another ingress and back.
//
// Reads: a bare node that runs; the program, a bundle, images and Kourier, by variables.
// Gives: a test for each thing that an installation meets, and a line of figures.
// Never: reaches a network outside the node; leaves Knative or an ingress there.
package installs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
)

// grace is for whatever must come true: many times what it takes.
const grace = 4 * time.Minute

// How the program may end: operator/src/cli/exit.rs.
const (
	well        = 0
	problems    = 1
	usage       = 2
	unreachable = 3
	timedOut    = 4
	partial     = 5
)

// world is the bare node, and what is installed on it.
type world struct {
	*testing.T
	api       *cluster.Cluster
	typed     kubernetes.Interface
	any       dynamic.Interface
	discovery discovery.DiscoveryInterface
	// program, bundle and images that are installed.
	program, bundle, sluice, envoy string
	// next is the same image as sluice, under another name.
	next string
	// knative is the folder of the manifests that the bundle was made of.
	knative string
	// kourier is the manifest of the ingress that a migration is from.
	kourier string
	// backend is the image of a Knative Service.
	backend string
}

func open(t *testing.T) *world {
	folders, err := layout.Find()
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", folders.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = -1, 0
	config.WarningHandler = rest.NoWarnings{}
	w := &world{T: t}
	for variable, value := range map[string]*string{
		"SLUICE_PROGRAM": &w.program, "SLUICE_BUNDLE": &w.bundle,
		"SLUICE_IMAGE": &w.sluice, "ENVOY_IMAGE": &w.envoy, "SLUICE_KNATIVE": &w.knative, "SLUICE_NEXT_IMAGE": &w.next,
		"SLUICE_KOURIER": &w.kourier,
	} {
		if *value = os.Getenv(variable); *value == "" {
			t.Fatalf("%s is not set; hack/run-installs sets it", variable)
		}
	}
	if w.backend, err = folders.Backend("timeout"); err != nil {
		t.Fatal(err)
	}
	if w.typed, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	w.discovery = w.typed.Discovery()
	if w.any, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.api, err = cluster.Open(folders.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) on(t *testing.T) *world {
	part := *w
	part.T = t
	return &part
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// until waits for a condition, and gives how long it took to come true.
func (w *world) until(what string, holds func(context.Context) error) time.Duration {
	w.Helper()
	began := time.Now()
	if err := cluster.Until(w.Context(), grace, nil, holds); err != nil {
		w.Fatalf("%s: %v", what, err)
	}
	return time.Since(began)
}

// row is a line of the table that is kept.
func (w *world) row(format string, arguments ...any) {
	fmt.Printf("| %s | %s |\n", strings.TrimPrefix(w.Name(), "TestInstalls/"), fmt.Sprintf(format, arguments...))
}

// outcome of a command.
type outcome struct {
	exit int
	// said is standard output, then standard error.
	said string
	took time.Duration
}

// install is the command that is tested, for this node, and more arguments.
func (w *world) install(more ...string) []string {
	return w.installFrom("--bundle", w.bundle, more...)
}

// installFrom the bundle or the folder that this flag names.
func (w *world) installFrom(flag, path string, more ...string) []string {
	return append([]string{
		"install", "knative", flag, path, "--sluice-image", w.sluice, "--envoy-image", w.envoy,
		// No node of the tests has a balancer.
		"--load-balancer-wait", "0",
	}, more...)
}

// run the program to its end. It is killed when the context ends: exit is then -1.
func (w *world) run(ctx context.Context, arguments ...string) outcome {
	w.Helper()
	var out, errs bytes.Buffer
	command := exec.CommandContext(ctx, w.program, arguments...)
	command.Stdout, command.Stderr = &out, &errs
	began := time.Now()
	err := command.Run()
	result := outcome{said: out.String() + errs.String(), took: time.Since(began)}
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		result.exit = ended.ExitCode()
	case err != nil:
		w.Fatal(err)
	}
	w.Logf("sluice %s: exit %d after %.1f s\n%s", strings.Join(arguments, " "), result.exit, result.took.Seconds(), result.said)
	return result
}

// wants runs the program and fails unless it ends so, and says each of these words.
func (w *world) wants(exit int, words []string, arguments ...string) outcome {
	w.Helper()
	result := w.run(w.Context(), arguments...)
	if result.exit != exit {
		w.Fatalf("exit %d, expected %d", result.exit, exit)
	}
	for _, word := range words {
		if !strings.Contains(result.said, word) {
			w.Fatalf("it does not say %q", word)
		}
	}
	return result
}
