//go:build installs

package installs

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
)

var services = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}

// domain of Services, made of the node's address.
const domain = layout.NodeAddress + ".sslip.io"

// TestInstalls goes from an empty cluster and back, several times.
func TestInstalls(t *testing.T) {
	w := open(t)
	empty, err := w.take(t.Context())
	w.must(err)
	for _, run := range []struct {
		name string
		run  func(*world, snapshot)
	}{
		{"from an empty cluster to a served Service", fromEmpty},
		{"again", again},
		{"repairs what was deleted", repairs},
		{"upgrade under load, and back", upgraded},
		{"an upgrade that is cut off goes on", cutOff},
		{"an upgrade that cannot be is taken back", takenBack},
		{"uninstall leaves the cluster as found", undone},
		{"interrupted at ten random points", interrupted},
		{"uninstall keeps users' kinds", keepsKinds},
		{"beside a Knative that is there", beside},
		{"a webhook that never comes up", deafWebhook},
		{"a namespace that does not end", stuckNamespace},
	} {
		t.Run(run.name, func(t *testing.T) { run.run(w.on(t), empty) })
	}
}

// fromEmpty is what a newcomer does.
func fromEmpty(w *world, _ snapshot) {
	installed := w.wants(well, []string{domain}, w.install()...)
	served := w.served("hello")
	w.row("installed after %.0f s; a Knative Service answers %.1f s after it was asked for", installed.took.Seconds(), served.Seconds())
}

// served makes a Knative Service, waits until it answers, and takes it away again.
func (w *world) served(name string) time.Duration {
	w.Helper()
	took := w.serve(name, nil)
	w.deleted(name)
	return took
}

// serve makes a Knative Service whose pods have these annotations, and waits until it
// answers.
func (w *world) serve(name string, annotations map[string]any) time.Duration {
	w.Helper()
	began := time.Now()
	w.create(name, map[string]any{"annotations": annotations})
	w.until("the Service answers", func(ctx context.Context) error {
		return w.answers(ctx, sluice, outside(name))
	})
	return time.Since(began)
}

// create a Knative Service whose revision has this metadata.
func (w *world) create(name string, revision map[string]any) {
	w.Helper()
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service",
		"metadata": map[string]any{"name": name, "namespace": metav1.NamespaceDefault},
		"spec": map[string]any{"template": map[string]any{
			"metadata": revision,
			"spec":     map[string]any{"containers": []any{map[string]any{"image": w.backend}}},
		}},
	}}
	_, err := w.any.Resource(services).Namespace(metav1.NamespaceDefault).Create(w.Context(), service, metav1.CreateOptions{})
	w.must(err)
}

// deleted takes Knative Services away, and waits until nothing is left of any.
func (w *world) deleted(names ...string) {
	w.Helper()
	for _, name := range names {
		own := w.any.Resource(services).Namespace(metav1.NamespaceDefault)
		w.must(own.Delete(w.Context(), name, metav1.DeleteOptions{}))
	}
	w.until("what belonged to the Services is gone", func(ctx context.Context) error {
		pods, err := w.typed.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		left, err := w.any.Resource(ingresses).Namespace(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(pods.Items)+len(left.Items) > 0 {
			return fmt.Errorf("%d pods, %d Ingresses", len(pods.Items), len(left.Items))
		}
		return nil
	})
}

// again finds nothing to do, and writes nothing.
func again(w *world, _ snapshot) {
	before, err := w.take(w.Context())
	w.must(err)
	result := w.wants(well, []string{"nothing to do"}, w.install()...)
	w.untouched(before)
	w.row("nothing to do, after %.1f s", result.took.Seconds())
}

// repairs what somebody took away.
func repairs(w *world, _ snapshot) {
	w.must(w.typed.AppsV1().Deployments(cluster.ServingNamespace).Delete(w.Context(), "autoscaler", metav1.DeleteOptions{}))
	w.must(w.typed.RbacV1().Roles(cluster.ProductNamespace).DeleteCollection(w.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}))
	w.wants(problems, []string{"autoscaler"}, w.install("--diff")...)
	result := w.wants(well, nil, w.install()...)
	w.wants(well, []string{"nothing to do"}, w.install()...)
	w.row("an autoscaler and all Roles are back after %.0f s", result.took.Seconds())
}

func undone(w *world, empty snapshot) {
	result := w.wants(well, nil, "uninstall", "--purge", "--yes")
	w.asFound(empty)
	w.row("as found, %d objects, after %.0f s", len(empty), result.took.Seconds())
}

// interrupted as by kill -9: what was begun is gone on with, and can be taken back.
func interrupted(w *world, empty snapshot) {
	const points = 10
	// Until it has come to its end once, it is longer and longer alive.
	span := 3 * time.Second
	killed := 0
	for killed < points {
		life := time.Duration(rand.Int64N(int64(span)))
		ctx, cancel := context.WithTimeout(w.Context(), life)
		result := w.run(ctx, w.install()...)
		cancel()
		switch result.exit {
		case -1:
			killed++
			span += 2 * time.Second
		case well:
			// It was there before it was killed: from the beginning.
			w.wants(well, nil, "uninstall", "--purge", "--yes")
		default:
			w.Fatalf("killed after %s it had ended with %d", life, result.exit)
		}
	}
	result := w.wants(well, nil, w.install()...)
	w.served("after-all")
	w.wants(well, nil, "uninstall", "--purge", "--yes")
	w.asFound(empty)
	w.row("%d times killed, then whole after %.0f s; uninstalled, as found", killed, result.took.Seconds())
}

// keepsKinds is the uninstall that takes no user's object away, and then one that does.
func keepsKinds(w *world, empty snapshot) {
	w.wants(well, nil, w.install()...)
	w.serve("kept", nil)
	w.wants(well, []string{"kept: CustomResourceDefinition", "what operators made"}, "uninstall", "--yes")
	if _, err := w.any.Resource(services).Namespace(metav1.NamespaceDefault).Get(w.Context(), "kept", metav1.GetOptions{}); err != nil {
		w.Error(err)
	}
	// Nothing that has a key, or runs.
	secrets, err := w.typed.CoreV1().Secrets(cluster.ProductNamespace).List(w.Context(), metav1.ListOptions{})
	w.must(err)
	pods, err := w.typed.CoreV1().Pods(cluster.ProductNamespace).List(w.Context(), metav1.ListOptions{})
	w.must(err)
	if left := len(secrets.Items) + len(pods.Items); left > 0 {
		w.Errorf("%d Secrets and pods are left", left)
	}
	result := w.wants(well, []string{"nothing stayed"}, "uninstall", "--purge", "--yes")
	w.asFound(empty)
	w.row("a Service stays with its kind; purged, as found, after %.0f s", result.took.Seconds())
}

// beside a Knative with settings of its own: they come back, and Knative stays.
func beside(w *world, empty snapshot) {
	w.kubectl("apply", "--server-side", "-f", filepath.Join(w.knative, "serving-crds.yaml"))
	w.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	w.kubectl("apply", "--server-side", "-f", filepath.Join(w.knative, "serving-core.yaml"))
	w.kubectl("-n", cluster.ServingNamespace, "wait", "--for=condition=Available", "--timeout=240s", "deployment", "--all")
	w.setNetwork(`{"data":{"ingress-class":"other.ingress.networking.knative.dev","ingress.class":"stale.example.com"}}`)
	before, err := w.take(w.Context())
	w.must(err)

	result := w.wants(well, []string{"adopted", "ingress.class", "stale.example.com"}, w.install()...)
	w.serve("beside", nil)
	w.must(w.isDefault(w.Context(), sluice))
	// What asks for Sluice itself would be without an ingress.
	w.kubectl("annotate", "ksvc", "beside", classAnnotation+"="+sluice.class)
	w.wants(problems, []string{"default/beside", "--abandon"}, "uninstall", "--yes")
	w.deleted("beside")
	w.wants(well, nil, "uninstall", "--yes")
	w.asFound(before)
	w.row("installed after %.0f s; uninstalled, as found, the class too", result.took.Seconds())

	w.kubectl("-n", cluster.ServingNamespace, "delete", "deployment", "--all", "--wait")
	w.kubectl("-n", cluster.ServingNamespace, "wait", "--for=delete", "--timeout=240s", "pod", "--all")
	// Webhooks that nobody answers stand in the way of what is left.
	w.kubectl("delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-l", "app.kubernetes.io/name=knative-serving")
	for _, file := range []string{"serving-core.yaml", "serving-crds.yaml"} {
		w.kubectl("delete", "--ignore-not-found", "--timeout=240s", "-f", filepath.Join(w.knative, file))
	}
	w.asFound(empty)
}

// kubectl is how somebody else would go about it.
func (w *world) kubectl(arguments ...string) {
	w.Helper()
	out, err := exec.CommandContext(w.Context(), "kubectl", arguments...).CombinedOutput()
	if err != nil {
		w.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

// deafWebhook: its image cannot be had.
func deafWebhook(w *world, empty snapshot) {
	folder := w.TempDir()
	for _, file := range []string{"serving-crds.yaml", "serving-core.yaml"} {
		text, err := os.ReadFile(filepath.Join(w.knative, file))
		w.must(err)
		text = bytes.ReplaceAll(text, []byte("/webhook:"), []byte("/webhook-that-nobody-has:"))
		w.must(os.WriteFile(filepath.Join(folder, file), text, 0o600))
	}
	result := w.wants(partial, []string{"webhook-that-nobody-has", "kubectl"},
		w.installFrom("--knative-from", folder, "--timeout", "45s")...)
	w.wants(well, nil, "uninstall", "--purge", "--yes")
	w.asFound(empty)
	w.row("named after %.0f s, with the image; uninstalled, as found", result.took.Seconds())
}

// stuckNamespace: a finalizer that nobody removes.
func stuckNamespace(w *world, empty snapshot) {
	w.wants(well, nil, w.install()...)
	maps := w.typed.CoreV1().ConfigMaps(cluster.ProductNamespace)
	_, err := maps.Create(w.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "held", Finalizers: []string{"example.com/held"},
	}}, metav1.CreateOptions{})
	w.must(err)
	result := w.wants(partial, []string{cluster.ProductNamespace, "example.com/held"},
		"uninstall", "--purge", "--yes", "--timeout", "60s")
	if strings.Contains(result.said, "nothing stayed") {
		w.Error("it says that nothing stayed")
	}
	// What is on its way out is no place to install to.
	w.wants(problems, []string{"Namespace " + cluster.ProductNamespace, "being deleted", "example.com/held"}, w.install()...)
	_, err = maps.Patch(w.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	w.must(err)
	w.asFound(empty)
	w.row("named after %.0f s, with its finalizer; nothing is installed into it", result.took.Seconds())
}
