//go:build baddays

package baddays

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// witnessImage names the image of ../witness, in the environment.
const witnessImage = "SLUICE_WITNESS_IMAGE"

var services = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}

// app is a Knative Service whose pods are witnesses.
type app struct {
	*place
	name string
	host string
}

// wanted of an app.
type wanted struct {
	// port's name: "http1" or "h2c".
	port string
	// after is how long a pod starts.
	after time.Duration
	// annotations of its revision.
	annotations map[string]string
}

// app of its own; given back once it is ready.
func (p *place) app(name string, wants wanted) *app {
	p.Helper()
	image := os.Getenv(witnessImage)
	if image == "" {
		p.Fatalf("%s is not set; hack/run-activation builds it", witnessImage)
	}
	// The shortest that Serving takes: as little waiting as can be.
	annotations := map[string]any{"autoscaling.knative.dev/window": "6s"}
	for key, value := range wants.annotations {
		annotations[key] = value
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": services.GroupVersion().String(),
		"kind":       "Service",
		"metadata":   map[string]any{"name": name, "namespace": p.namespace},
		"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"annotations": annotations},
			"spec": map[string]any{"containers": []any{map[string]any{
				"image": image,
				"ports": []any{map[string]any{"name": wants.port, "containerPort": int64(8080)}},
				"env":   []any{map[string]any{"name": "AFTER", "value": wants.after.String()}},
			}}},
		}},
	}}
	_, err := p.any.Resource(services).Namespace(p.namespace).Create(p.Context(), object, metav1.CreateOptions{})
	p.must(err)
	a := &app{place: p, name: name, host: fmt.Sprintf("%s.%s.example.com", name, p.namespace)}
	p.afterwards("Knative Service "+name, func(ctx context.Context) error {
		return p.any.Resource(services).Namespace(p.namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	p.until("Knative Service "+name+" is ready", func(ctx context.Context) error {
		found, err := p.any.Resource(services).Namespace(p.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(found.Object, "status", "conditions")
		for _, entry := range conditions {
			fields, _ := entry.(map[string]any)
			if fields["type"] == "Ready" && fields["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("conditions %v", conditions)
	})
	return a
}

// pods of the app that are there, those that leave included.
func (a *app) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := a.typed.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{LabelSelector: "serving.knative.dev/service=" + a.name})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// becomesCold waits until no pod is left, and its public Service leads to the activator.
func (a *app) becomesCold() {
	a.Helper()
	a.until(a.name+" has no pod", func(ctx context.Context) error {
		pods, err := a.pods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d pods", len(pods))
		}
		return err
	})
}

// arrival of one request at one pod, as the witness has it.
type arrival struct {
	Count int   `json:"count"`
	First int64 `json:"first"`
}

// arrivals at each pod that runs, by pod.
func (a *app) arrivals(ctx context.Context) (map[string]map[string]arrival, error) {
	pods, err := a.pods(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]arrival{}
	for _, pod := range pods {
		if pod.Status.PodIP == "" || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pod.Status.PodIP+":8080/witness", nil)
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			// One that is not up yet has seen nothing.
			continue
		}
		seen := map[string]arrival{}
		err = json.NewDecoder(response.Body).Decode(&seen)
		response.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		found[pod.Name] = seen
	}
	return found, nil
}
