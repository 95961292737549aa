package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sluice/e2e/node/internal/layout"
)

// Activator is the Deployment that stands in for pods that are not there.
const Activator = "activator"

// Gateway is the Service by which Serving's tests find the way in.
const Gateway = "sluice"

// servingTests is where the module of Serving's tests has what they take to be there.
const servingTests = "knative.dev/serving/test/config"

// ApplyServingTests puts there what Serving's own tests expect: namespaces, objects, a
// volume, and the registry's name. Manifests is the folder that holds Serving's below
// its own path, volume a folder inside the node.
func (c *Cluster) ApplyServingTests(ctx context.Context, manifests, volume string) (int, error) {
	unchanged := func(text string) (string, error) { return text, nil }
	count := 0
	// Namespaces come first.
	for _, file := range []string{
		"cluster-resources.yaml", "test-resources.yaml", "resource-quota/resource-quota.yaml", "pvc/pvc.yaml",
	} {
		objects, err := readFolder(filepath.Join(manifests, servingTests, file), unchanged)
		if err != nil {
			return 0, err
		}
		if err := c.Apply(ctx, objects); err != nil {
			return 0, err
		}
		count += len(objects)
	}
	for _, text := range []string{registryName(), volumeAt(volume)} {
		objects, err := readObjects(text)
		if err != nil {
			return 0, err
		}
		if err := c.Apply(ctx, objects); err != nil {
			return 0, err
		}
		count += len(objects)
	}
	return count, nil
}

// registryName leads from the registry's name in the cluster to the node's own address.
// It has no address of its own, so the way there is none of kube-proxy's.
func registryName() string {
	host, port, _ := net.SplitHostPort(layout.Registry)
	address, _, _ := net.SplitHostPort(layout.RegistryAddress)
	parts := strings.SplitN(host, ".", 3)
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  clusterIP: None
  ports: [{name: http, port: %[3]s}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s, namespace: %[2]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
endpoints: [{addresses: [%[4]s]}]
ports: [{name: http, port: %[3]s}]
`, parts[0], parts[1], port, address)
}

// volumeAt is for the one claim of Serving's tests. Of a local volume the kubelet gives
// the folder to the pod's group.
func volumeAt(folder string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: serving-tests}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  local: {path: %s}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [%s]}]
`, folder, layout.NodeName)
}

// Configure writes entries of Knative's ConfigMaps; nil takes one away.
func (c *Cluster) Configure(ctx context.Context, change map[string]map[string]*string) error {
	for name, entries := range change {
		if err := c.setAll(ctx, ServingNamespace, name, entries); err != nil {
			return fmt.Errorf("ConfigMap %s: %w", name, err)
		}
	}
	return nil
}

// Scale has a Deployment of Knative have so many replicas.
func (c *Cluster) Scale(ctx context.Context, name string, replicas int32) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": replicas}})
	if err != nil {
		return err
	}
	_, err = c.typed.AppsV1().Deployments(ServingNamespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldOwner})
	return err
}
