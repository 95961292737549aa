package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	sigsyaml "sigs.k8s.io/yaml"

	"sluice/e2e/node/internal/layout"
)

// ServingNamespace is where Knative Serving lives.
const ServingNamespace = "knative-serving"

// Knative to be put there.
type Knative struct {
	// Manifests is the folder that holds each module's under its own path.
	Manifests string
	// Images by program: "activator" → "local.dev/serving/activator:…".
	Images map[string]string
	// Registry whose tags are not looked up, as there is none.
	Registry string
}

// built names a program in Knative's manifests, in place of its image.
var built = regexp.MustCompile(`ko://knative\.dev/serving/cmd/([a-z-]+)`)

func (k Knative) objects() ([]*unstructured.Unstructured, error) {
	rewrite := func(text string) (string, error) {
		var unknown []string
		text = built.ReplaceAllStringFunc(text, func(found string) string {
			program := built.FindStringSubmatch(found)[1]
			image, ok := k.Images[program]
			if !ok {
				unknown = append(unknown, program)
			}
			return image
		})
		if len(unknown) > 0 {
			return "", fmt.Errorf("no image was built of %s", strings.Join(unknown, ", "))
		}
		return text, nil
	}
	var objects []*unstructured.Unstructured
	// Networking's and caching's kinds are links in Serving's repository, and links
	// are left out of a Go module.
	for _, folder := range []string{"knative.dev/networking/config", "knative.dev/caching/config", "knative.dev/serving/config/core"} {
		read, err := readFolder(filepath.Join(k.Manifests, folder), rewrite)
		if err != nil {
			return nil, err
		}
		objects = append(objects, read...)
	}
	// It scales by the processor's use, and there is no server of metrics to ask.
	objects = slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetKind() == "HorizontalPodAutoscaler"
	})
	for _, object := range objects {
		if err := k.settle(object); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return objects, nil
}

// settings by ConfigMap: what a test of Knative's own suites turns on, and what
// follows from one small node.
func (k Knative) settings() map[string]map[string]string {
	return map[string]map[string]string{
		"config-network": {
			"ingress-class":                    layout.IngressClass,
			"autocreate-cluster-domain-claims": "true",
		},
		"config-deployment": {
			"registries-skipping-tag-resolving": "kind.local,ko.local,dev.local," + k.Registry,
			"progress-deadline":                 "120s",
			"queue-sidecar-cpu-request":         "10m",
		},
		"config-domain":     {"example.com": ""},
		"config-autoscaler": {"allow-zero-initial-scale": "true"},
		"config-features":   {"tag-header-based-routing": "enabled"},
	}
}

// settle changes an object where this node needs it so.
func (k Knative) settle(object *unstructured.Unstructured) error {
	switch object.GetKind() {
	case "ConfigMap":
		for key, value := range k.settings()[object.GetName()] {
			if err := unstructured.SetNestedField(object.Object, value, "data", key); err != nil {
				return err
			}
		}
	case "Deployment":
		return askForLittle(object)
	}
	return nil
}

// askForLittle of the processor: what all Deployments ask for must fit two cores.
// Limits stay: a lower one throttles the webhook, and so every write of an Ingress.
func askForLittle(deployment *unstructured.Unstructured) error {
	for _, list := range []string{"initContainers", "containers"} {
		containers, found, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", list)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		for _, container := range containers {
			fields, ok := container.(map[string]any)
			if !ok {
				return fmt.Errorf("a container is a %T", container)
			}
			if err := unstructured.SetNestedField(fields, "10m", "resources", "requests", "cpu"); err != nil {
				return err
			}
		}
		if err := unstructured.SetNestedSlice(deployment.Object, containers, "spec", "template", "spec", list); err != nil {
			return err
		}
	}
	return nil
}

// TestNamespaces are those that Knative's suites take to be there.
var TestNamespaces = []string{"serving-tests"}

// ApplyTestNamespaces makes them.
func (c *Cluster) ApplyTestNamespaces(ctx context.Context) error {
	for _, name := range TestNamespaces {
		namespace := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
		}}
		if err := c.Apply(ctx, []*unstructured.Unstructured{namespace}); err != nil {
			return err
		}
	}
	return nil
}

// Release is Knative as its releases have it: two manifests by name, kinds first.
func (k Knative) Release() (map[string][]byte, error) {
	objects, err := k.objects()
	if err != nil {
		return nil, err
	}
	// As in a release, a namespace comes before what is in it.
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		first := map[bool]int{true: 0, false: 1}
		return first[a.GetKind() == "Namespace"] - first[b.GetKind() == "Namespace"]
	})
	release := map[string][]byte{}
	for _, object := range objects {
		// What wires Knative to an ingress is for who installs one.
		for name, key := range map[string]string{"config-network": "ingress-class", "config-domain": "example.com"} {
			if object.GetKind() == "ConfigMap" && object.GetName() == name {
				unstructured.RemoveNestedField(object.Object, "data", key)
			}
		}
		name := "serving-core.yaml"
		if object.GetKind() == "CustomResourceDefinition" {
			name = "serving-crds.yaml"
		}
		text, err := sigsyaml.Marshal(object.Object)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		release[name] = append(append(release[name], "---\n"...), text...)
	}
	return release, nil
}

// ApplyKnative puts Knative Serving there: kinds first, as the rest is of them.
// It does not wait for the Deployments.
func (c *Cluster) ApplyKnative(ctx context.Context, knative Knative) (int, error) {
	objects, err := knative.objects()
	if err != nil {
		return 0, err
	}
	var first, rest []*unstructured.Unstructured
	var kinds []string
	for _, object := range objects {
		switch object.GetKind() {
		case "CustomResourceDefinition":
			kinds = append(kinds, object.GetName())
			first = append(first, object)
		case "Namespace":
			first = append(first, object)
		default:
			rest = append(rest, object)
		}
	}
	if err := c.Apply(ctx, first); err != nil {
		return 0, err
	}
	definitions := c.any.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
	const limit = time.Minute
	for _, kind := range kinds {
		err := Until(ctx, limit, nil, func(ctx context.Context) error {
			definition, err := definitions.Get(ctx, kind, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return Condition(definition, "Established")
		})
		if err != nil {
			return 0, err
		}
	}
	return len(objects), c.Apply(ctx, rest)
}

// WebhooksAdmit is nil once Knative's webhooks have certificates and the API server
// reaches them: a Service that is only tried is admitted, a wrong one is not.
func (c *Cluster) WebhooksAdmit(ctx context.Context) error {
	try := func(concurrency int64) error {
		service := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "serving.knative.dev/v1",
			"kind":       "Service",
			"metadata":   map[string]any{"name": "tried", "namespace": "default"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
				"containerConcurrency": concurrency,
				"containers":           []any{map[string]any{"image": "local.dev/tried:only"}},
			}}},
		}}
		client, err := c.client(service)
		if err != nil {
			return err
		}
		_, err = client.Create(ctx, service, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	if err := try(0); err != nil {
		return fmt.Errorf("a Service is not admitted: %w", err)
	}
	const tooMany = 100000
	if err := try(tooMany); err == nil {
		return fmt.Errorf("a Service with a containerConcurrency of %d is admitted, so no webhook has seen it", tooMany)
	}
	return nil
}
