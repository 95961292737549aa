//go:build installs

package installs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/load"
)

const (
	classAnnotation = "networking.knative.dev/ingress.class"
	// migrated is what every annotation begins with that a migration makes use of.
	migrated = "sluice.ingress.networking.knative.dev/"
	// dns is the cluster's server of names.
	dns = layout.DNSServiceAddress + ":53"
)

var (
	ingresses = schema.GroupVersionResource{Group: "networking.internal.knative.dev", Version: "v1alpha1", Resource: "ingresses"}
	mappings  = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1beta1", Resource: "domainmappings"}
)

// ingress is one of the two that Knative may have.
type ingress struct {
	// class of the Ingresses it serves; word is what the program calls it.
	class, word string
	// namespace of its gateways and of their Services: for who is outside of the cluster,
	// and for who is inside.
	namespace, outside, inside string
}

var (
	sluice = ingress{
		class: layout.IngressClass, word: "sluice",
		namespace: cluster.ProductNamespace, outside: "sluice", inside: "sluice-internal",
	}
	kourier = ingress{
		class: "kourier.ingress.networking.knative.dev", word: "kourier",
		namespace: "kourier-system", outside: "kourier", inside: "kourier-internal",
	}
)

// outside is the host of a Knative Service, for who is outside.
func outside(name string) string { return name + ".default." + domain }

// inside is the name of a Knative Service in the cluster.
func inside(name string) string { return name + ".default.svc." + layout.ClusterSuffix }

// address of an ingress for who is outside.
func (w *world) address(ctx context.Context, of ingress) (string, error) {
	service, err := w.typed.CoreV1().Services(of.namespace).Get(ctx, of.outside, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	for _, port := range service.Spec.Ports {
		if port.Name == "http2" {
			return fmt.Sprintf("%s:%d", layout.NodeAddress, port.NodePort), nil
		}
	}
	return "", fmt.Errorf("Service %s has no port http2", of.outside)
}

// answers is nil once a host is answered with 200 through the gateways of an ingress.
func (w *world) answers(ctx context.Context, of ingress, host string) error {
	return w.answersWith(ctx, http.StatusOK, of, host)
}

func (w *world) answersWith(ctx context.Context, status int, of ingress, host string) error {
	address, err := w.address(ctx, of)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	request.Host = host
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("%s: found %s, expected %d", host, response.Status, status)
	}
	return nil
}

// setNetwork changes Knative's settings of its network.
func (w *world) setNetwork(patch string) {
	w.Helper()
	maps := w.typed.CoreV1().ConfigMaps(cluster.ServingNamespace)
	w.until("the webhook lets a setting through", func(ctx context.Context) error {
		_, err := maps.Patch(ctx, "config-network", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	})
}

// isDefault is nil where an ingress has all that does not ask for another.
func (w *world) isDefault(ctx context.Context, of ingress) error {
	settings, err := w.typed.CoreV1().ConfigMaps(cluster.ServingNamespace).Get(ctx, "config-network", metav1.GetOptions{})
	if err == nil && settings.Data["ingress-class"] != of.class {
		err = fmt.Errorf("ingress-class is %q, expected %q", settings.Data["ingress-class"], of.class)
	}
	return err
}

// by is nil where all of these are Ready by the word of one ingress, whole: the Ingress,
// the addresses in its status, and the Knative Service or DomainMapping that it is of.
func (w *world) by(ctx context.Context, of ingress, names ...string) error {
	for _, name := range names {
		found, err := w.any.Resource(ingresses).Namespace(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if class := found.GetAnnotations()[classAnnotation]; class != of.class {
			return fmt.Errorf("Ingress %s is of class %q, expected %q", name, class, of.class)
		}
		if err := errors.Join(cluster.Condition(found, "Ready"), leadsTo(found, "publicLoadBalancer", of, of.outside),
			leadsTo(found, "privateLoadBalancer", of, of.inside)); err != nil {
			return err
		}
		// Sluice needs no finalizer, and nobody would take that of who was there before.
		if left := found.GetFinalizers(); of == sluice && len(left) > 0 {
			return fmt.Errorf("Ingress %s has finalizers %q, expected none", name, left)
		}
		owner, err := w.owner(ctx, name)
		if err != nil {
			return err
		}
		if err := cluster.Condition(owner, "Ready"); err != nil {
			return err
		}
	}
	return nil
}

func leadsTo(found *unstructured.Unstructured, side string, of ingress, service string) error {
	expected := service + "." + of.namespace + ".svc." + layout.ClusterSuffix
	entries, _, err := unstructured.NestedSlice(found.Object, "status", side, "ingress")
	if err != nil {
		return err
	}
	var domains []string
	for _, entry := range entries {
		if fields, ok := entry.(map[string]any); ok {
			domains = append(domains, fmt.Sprint(fields["domainInternal"]))
		}
	}
	if !slices.Equal(domains, []string{expected}) {
		return fmt.Errorf("Ingress %s: %s is %q, expected %q", found.GetName(), side, domains, expected)
	}
	return nil
}

// owner of the Ingress of this name.
func (w *world) owner(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	kind := services
	if name == mapped {
		kind = mappings
	}
	return w.any.Resource(kind).Namespace(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
}

// unmarked is nil where nothing tells any more that a migration was.
func (w *world) unmarked(ctx context.Context, names ...string) error {
	for _, name := range names {
		owner, err := w.owner(ctx, name)
		if err != nil {
			return err
		}
		found, err := w.any.Resource(ingresses).Namespace(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if class, here := owner.GetAnnotations()[classAnnotation]; here {
			return fmt.Errorf("%s %s still has class %q of its own", owner.GetKind(), name, class)
		}
		for _, object := range []*unstructured.Unstructured{owner, found} {
			for annotation := range object.GetAnnotations() {
				if strings.HasPrefix(annotation, migrated) {
					return fmt.Errorf("%s %s still has %s", object.GetKind(), name, annotation)
				}
			}
		}
	}
	return nil
}

// namesLeadTo is nil once the names inside the cluster lead to one ingress.
func (w *world) namesLeadTo(ctx context.Context, of ingress, names ...string) error {
	service, err := w.typed.CoreV1().Services(of.namespace).Get(ctx, of.inside, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, name := range names {
		found, err := load.Resolver(dns).LookupHost(ctx, inside(name))
		if err != nil {
			return err
		}
		if !slices.Equal(found, []string{service.Spec.ClusterIP}) {
			return fmt.Errorf("%s leads to %q, expected %s, Service %s", inside(name), found, service.Spec.ClusterIP, of.inside)
		}
	}
	return nil
}
