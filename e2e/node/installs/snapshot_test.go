//go:build installs

package installs

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// passing kinds are written by the cluster itself all the time.
var passing = []string{"Event", "Lease", "ComponentStatus"}

// snapshot has the content of every object of the cluster by kind, namespace and name.
type snapshot map[string]string

// take one: what the API server itself counts and dates is left out, and so is status.
func (w *world) take(ctx context.Context) (snapshot, error) {
	lists, err := discovery.ServerPreferredResources(w.discovery)
	if err != nil {
		return nil, err
	}
	seen := snapshot{}
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || slices.Contains(passing, resource.Kind) {
				continue
			}
			found, err := w.any.Resource(group.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", resource.Name, err)
			}
			for _, object := range found.Items {
				key := fmt.Sprintf("%s.%s %s/%s", resource.Kind, group.Group, object.GetNamespace(), object.GetName())
				if seen[key], err = content(object); err != nil {
					return nil, err
				}
			}
		}
	}
	return seen, nil
}

func content(object unstructured.Unstructured) (string, error) {
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(object.Object, "status")
	text, err := json.Marshal(object.Object)
	return fmt.Sprintf("%x", sha256.Sum256(text)), err
}

// differences between what was and what is, sorted.
func (before snapshot) differences(after snapshot) []string {
	var found []string
	for key, was := range before {
		switch is, here := after[key]; {
		case !here:
			found = append(found, "gone: "+key)
		case is != was:
			found = append(found, "changed: "+key)
		}
	}
	for key := range after {
		if _, here := before[key]; !here {
			found = append(found, "new: "+key)
		}
	}
	slices.Sort(found)
	return found
}

// asFound waits until the cluster is as it was, object by object: garbage is collected
// a little later than what it belonged to.
func (w *world) asFound(before snapshot) {
	w.Helper()
	w.until("the cluster is as it was found", func(ctx context.Context) error {
		now, err := w.take(ctx)
		if err != nil {
			return err
		}
		if found := before.differences(now); len(found) > 0 {
			return fmt.Errorf("%d differences: %s", len(found), strings.Join(found[:min(len(found), 20)], "; "))
		}
		return nil
	})
}

// untouched fails where anything is other than it was.
func (w *world) untouched(before snapshot) {
	w.Helper()
	now, err := w.take(w.Context())
	w.must(err)
	if found := before.differences(now); len(found) > 0 {
		w.Errorf("%d differences: %s", len(found), strings.Join(found[:min(len(found), 20)], "; "))
	}
}
