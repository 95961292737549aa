// Package cluster makes a bare Kubernetes what the tests need: DNS, Knative Serving,
// and a proof that both do their work. It stands inside the node's network.
//
// Reads: the kubeconfig of the administrator, manifests.
// Gives: objects in the API server, and conditions waited for.
// Never: sleeps for a time in place of a condition; deletes what it did not make.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// fieldOwner of everything that is applied but Sluice.
const fieldOwner = "sluice-node"

// Cluster is an API server.
type Cluster struct {
	rest   *rest.Config
	typed  *kubernetes.Clientset
	any    dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// Open reads a kubeconfig; it asks the server nothing yet.
func Open(kubeconfig string) (*Cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent = fieldOwner
	// Hundreds of objects are applied in a row; the server has limits of its own.
	config.QPS, config.Burst = -1, 0
	// Warnings of deprecated fields concern those who write the manifests.
	config.WarningHandler = rest.NoWarnings{}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	return &Cluster{rest: config, typed: typed, any: untyped, mapper: mapper}, nil
}

// Until asks again and again until a condition holds, and says what was missing at
// the end: holds gives what is still missing, or nil. Whatever ends the wait early
// comes from alive.
func Until(ctx context.Context, limit time.Duration, alive func() error, holds func(context.Context) error) error {
	outer := ctx
	ctx, cancel := context.WithTimeout(outer, limit)
	defer cancel()
	const interval = 100 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var missing error
	for {
		found := holds(ctx)
		if found == nil {
			return nil
		}
		// A try that the limit cut short says nothing of what was missing before.
		if ctx.Err() == nil || missing == nil {
			missing = found
		}
		if alive != nil {
			if err := alive(); err != nil {
				return errors.Join(err, missing)
			}
		}
		select {
		case <-ctx.Done():
			if outer.Err() != nil {
				return fmt.Errorf("interrupted: %w", missing)
			}
			return fmt.Errorf("not after %s: %w", limit, missing)
		case <-ticker.C:
		}
	}
}

// Ready is nil once the API server says so.
func (c *Cluster) Ready(ctx context.Context) error {
	_, err := c.typed.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// Version of the API server.
func (c *Cluster) Version() (string, error) {
	version, err := c.typed.Discovery().ServerVersion()
	if err != nil {
		return "", err
	}
	return version.GitVersion, nil
}

// NodeReady is nil once the node takes pods.
func (c *Cluster) NodeReady(ctx context.Context, name string) error {
	node, err := c.any.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"}).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return Condition(node, "Ready")
}

// Available is nil once every Deployment of a namespace has all its replicas, of its
// latest generation.
func (c *Cluster) Available(ctx context.Context, namespace string) error {
	deployments, err := c.typed.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(deployments.Items) == 0 {
		return fmt.Errorf("namespace %s has no Deployment", namespace)
	}
	for _, deployment := range deployments.Items {
		wanted := int32(1)
		if deployment.Spec.Replicas != nil {
			wanted = *deployment.Spec.Replicas
		}
		status := deployment.Status
		if status.ObservedGeneration < deployment.Generation || status.UpdatedReplicas < wanted ||
			status.AvailableReplicas < wanted || status.Replicas > status.UpdatedReplicas {
			return fmt.Errorf("Deployment %s/%s: %d of %d replicas available, %d of the latest revision",
				namespace, deployment.Name, status.AvailableReplicas, wanted, status.UpdatedReplicas)
		}
	}
	return nil
}

// Condition is nil when an object has a condition, true, of its latest generation.
func Condition(object *unstructured.Unstructured, kind string) error {
	name := object.GetKind() + " " + object.GetName()
	if observed, found, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration"); err == nil && found && observed < object.GetGeneration() {
		return fmt.Errorf("%s: generation %d seen of %d", name, observed, object.GetGeneration())
	}
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, entry := range conditions {
		fields, ok := entry.(map[string]any)
		if !ok || fields["type"] != kind {
			continue
		}
		if fields["status"] == "True" {
			return nil
		}
		return fmt.Errorf("%s: %s is %v: %v %v", name, kind, fields["status"], fields["reason"], fields["message"])
	}
	return fmt.Errorf("%s: no condition %s yet", name, kind)
}

// Apply puts objects into the API server as they are written, one after another.
func (c *Cluster) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	return c.applyAs(ctx, fieldOwner, objects)
}

func (c *Cluster) applyAs(ctx context.Context, owner string, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		client, err := c.client(object)
		if err != nil {
			return err
		}
		_, err = client.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: owner, Force: true})
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// client speaks of the objects of one kind and namespace.
func (c *Cluster) client(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		// A kind may have been defined since the server was asked for all it has.
		c.mapper.Reset()
		if mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	resource := c.any.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return resource.Namespace(object.GetNamespace()), nil
	}
	return resource, nil
}
