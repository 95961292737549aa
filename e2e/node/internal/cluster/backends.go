package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"sluice/e2e/node/internal/pki"
)

// What the suite is told of by its environment, and what gateways are.
const (
	backendPair  = "upstream-tls"
	backendRoots = "upstream-ca"
	ownPair      = "internal-certificate"
	trustBundle  = "sluice-backends"
)

// BackendNames are those that backends and gateways show: of the activator, of pods in
// the suite's namespace, and the name by which the suite's proxy asks for a gateway.
var BackendNames = []string{"kn-routing", "kn-user-serving-tests", "data-plane.knative.dev"}

// settings that have backends speak TLS, by namespace and name of their ConfigMap.
var settings = []struct{ namespace, name, key, value string }{
	{ServingNamespace, "config-network", "system-internal-tls", "Enabled"},
	{ProductNamespace, "config-sluice", "internal-certificate", ownPair},
}

// TLSBackends makes the Secrets, has gateways trust the authority, and switches over.
func (c *Cluster) TLSBackends(ctx context.Context, authority string, shown pki.Pair) error {
	roots, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	certificate, err := os.ReadFile(shown.Certificate)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(shown.Key)
	if err != nil {
		return err
	}
	pair := map[string]any{"tls.crt": string(certificate), "tls.key": string(key)}
	tests := TestNamespaces[0]
	err = c.Apply(ctx, []*unstructured.Unstructured{
		secret(tests, backendPair, corev1.SecretTypeTLS, pair),
		secret(tests, backendRoots, corev1.SecretTypeOpaque, map[string]any{"ca.crt": string(roots)}),
		secret(ProductNamespace, ownPair, corev1.SecretTypeTLS, pair),
		{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{
				"namespace": ServingNamespace, "name": trustBundle,
				"labels": map[string]any{"networking.knative.dev/trust-bundle": "true"},
			},
			"data": map[string]any{"ca.crt": string(roots)},
		}},
	})
	if err != nil {
		return err
	}
	for _, setting := range settings {
		if err := c.set(ctx, setting.namespace, setting.name, setting.key, &setting.value); err != nil {
			return err
		}
	}
	return nil
}

// PlainBackends switches back, and removes what TLSBackends made.
func (c *Cluster) PlainBackends(ctx context.Context) error {
	var failed []error
	for _, setting := range settings {
		failed = append(failed, c.set(ctx, setting.namespace, setting.name, setting.key, nil))
	}
	for _, gone := range []struct{ namespace, name string }{
		{TestNamespaces[0], backendPair}, {TestNamespaces[0], backendRoots}, {ProductNamespace, ownPair},
	} {
		err := c.typed.CoreV1().Secrets(gone.namespace).Delete(ctx, gone.name, metav1.DeleteOptions{})
		if !apierrors.IsNotFound(err) {
			failed = append(failed, err)
		}
	}
	err := c.typed.CoreV1().ConfigMaps(ServingNamespace).Delete(ctx, trustBundle, metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// set writes one entry of a ConfigMap; nil takes it away.
func (c *Cluster) set(ctx context.Context, namespace, name, key string, value *string) error {
	return c.setAll(ctx, namespace, name, map[string]*string{key: value})
}

// setAll writes entries of a ConfigMap at once, as a webhook may judge one by another;
// nil takes one away.
func (c *Cluster) setAll(ctx context.Context, namespace, name string, entries map[string]*string) error {
	patch, err := json.Marshal(map[string]any{"data": entries})
	if err != nil {
		return err
	}
	_, err = c.typed.CoreV1().ConfigMaps(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldOwner})
	return err
}

func secret(namespace, name string, kind corev1.SecretType, data map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata":   map[string]any{"namespace": namespace, "name": name},
		"type":       string(kind),
		"stringData": data,
	}}
}
