package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const (
	// ProductNamespace is Sluice's.
	ProductNamespace = "sluice-system"
	// productOwner of Sluice's fields, as of an installation on any cluster.
	productOwner = "sluice"
)

// warnings that the API server gave, each once.
type warnings struct {
	mutex sync.Mutex
	said  []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if text != "" && !slices.Contains(w.said, text) {
		w.said = append(w.said, text)
	}
}

func (w *warnings) err() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.said) == 0 {
		return nil
	}
	return fmt.Errorf("the API server warns: %s", strings.Join(w.said, "; "))
}

// ApplyProduct puts Sluice's manifest there, in its order, and gives the number of
// objects. A warning of the API server is an error, once all is applied. It does not
// wait for the Deployments.
func (c *Cluster) ApplyProduct(ctx context.Context, text string) (int, error) {
	objects, err := productObjects(text)
	if err != nil {
		return 0, err
	}
	config := rest.CopyConfig(c.rest)
	heard := &warnings{}
	config.WarningHandler = heard
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	product := &Cluster{rest: config, typed: c.typed, any: untyped, mapper: c.mapper}
	if err := product.applyAs(ctx, productOwner, objects); err != nil {
		return 0, err
	}
	return len(objects), heard.err()
}

// productObjects are those of a manifest, changed where one small node needs it so.
func productObjects(text string) ([]*unstructured.Unstructured, error) {
	objects, err := readObjects(text)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, errors.New("the manifest holds no object")
	}
	// There is no server of metrics to scale by: the least is what runs.
	least := map[string]int64{}
	objects = slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool {
		if object.GetKind() != "HorizontalPodAutoscaler" {
			return false
		}
		target, _, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "name")
		least[target], _, _ = unstructured.NestedInt64(object.Object, "spec", "minReplicas")
		return true
	})
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		if err := askForLittle(object); err != nil {
			return nil, fmt.Errorf("Deployment %s: %w", object.GetName(), err)
		}
		if replicas := least[object.GetName()]; replicas > 0 {
			if err := unstructured.SetNestedField(object.Object, replicas, "spec", "replicas"); err != nil {
				return nil, err
			}
		}
	}
	return objects, nil
}

// TellPods says of each pod that is not ready why, and what its containers said last:
// for whoever waited in vain.
func (c *Cluster) TellPods(ctx context.Context, namespace string) []string {
	pods, err := c.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, pod := range pods.Items {
		statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
		if len(statuses) == 0 {
			lines = append(lines, fmt.Sprintf("%s: %s %s", pod.Name, pod.Status.Phase, conditionsOf(pod)))
		}
		for _, status := range statuses {
			if status.Ready || status.State.Terminated != nil && status.State.Terminated.ExitCode == 0 {
				continue
			}
			lines = append(lines, fmt.Sprintf("%s, %s: %s", pod.Name, status.Name, stateOf(status)))
			lines = append(lines, c.lastWords(ctx, pod, status)...)
		}
	}
	return lines
}

func conditionsOf(pod corev1.Pod) string {
	var words []string
	for _, condition := range pod.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			words = append(words, fmt.Sprintf("(%s: %s %s)", condition.Type, condition.Reason, condition.Message))
		}
	}
	return strings.Join(words, " ")
}

func stateOf(status corev1.ContainerStatus) string {
	words := "runs, is not ready"
	switch {
	case status.State.Waiting != nil:
		words = "waits: " + status.State.Waiting.Reason + " " + status.State.Waiting.Message
	case status.State.Terminated != nil:
		words = fmt.Sprintf("ended with %d: %s %s", status.State.Terminated.ExitCode, status.State.Terminated.Reason, status.State.Terminated.Message)
	}
	return fmt.Sprintf("%s; %d restarts", words, status.RestartCount)
}

func (c *Cluster) lastWords(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) []string {
	lines := int64(5)
	log, err := c.typed.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: status.Name, TailLines: &lines, Previous: status.State.Running == nil && status.RestartCount > 0,
	}).DoRaw(ctx)
	if err != nil {
		// It has not started yet.
		return nil
	}
	var words []string
	for line := range strings.Lines(string(log)) {
		words = append(words, "    "+strings.TrimRight(line, "\n"))
	}
	return words
}

// Restart has a Deployment replace its pods.
func (c *Cluster) Restart(ctx context.Context, namespace, name string) error {
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`,
		time.Now().UTC().Format(time.RFC3339Nano))
	_, err := c.typed.AppsV1().Deployments(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: fieldOwner})
	return err
}
