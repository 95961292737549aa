//go:build baddays

// Package baddays hurts Sluice on the node: what it runs on is taken away, killed,
// stopped or spoilt while requests flow, and every request is counted.
//
// Reads: the node that runs, with Sluice and Knative Serving installed.
// Gives: a test a day, and a line of figures for each.
// Never: leaves the node as it is in a bad day; asserts a time, but that of the lease.
package baddays

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/supervisor"
)

const (
	namespace = cluster.ProductNamespace
	operator  = "sluice-operator"
	gateway   = "sluice-gateway"
	// grace is for whatever must come true: many times what it takes.
	grace = 4 * time.Minute
)

var (
	ingresses   = schema.GroupVersionResource{Group: "networking.internal.knative.dev", Version: "v1alpha1", Resource: "ingresses"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// world is the node and what runs on it.
type world struct {
	*testing.T
	api   *cluster.Cluster
	typed kubernetes.Interface
	any   dynamic.Interface
	node  *supervisor.Node
	// image of the backends.
	image string
	// address is where clients from outside come in.
	address string
	figures []string
}

func open(t *testing.T) *world {
	folders, err := layout.Find()
	if err != nil {
		t.Fatal(err)
	}
	node, err := supervisor.Find(folders)
	if err != nil || node == nil {
		t.Fatalf("no node runs (%v): make cluster brings one up", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", folders.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = -1, 0
	config.WarningHandler = rest.NoWarnings{}
	w := &world{T: t, node: node}
	if w.image, err = folders.Backend("timeout"); err != nil {
		t.Fatal(err)
	}
	if w.typed, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.any, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.api, err = cluster.Open(folders.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	service, err := w.typed.CoreV1().Services(namespace).Get(t.Context(), "sluice", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range service.Spec.Ports {
		if port.Name == "http2" {
			w.address = fmt.Sprintf("%s:%d", layout.NodeAddress, port.NodePort)
		}
	}
	return w
}

// on is the same world for one day.
func (w *world) on(t *testing.T) *world {
	day := *w
	day.T, day.figures = t, nil
	return &day
}

// tell notes a figure of the day.
func (w *world) tell(format string, arguments ...any) {
	w.Helper()
	figure := fmt.Sprintf(format, arguments...)
	w.Log(figure)
	w.figures = append(w.figures, figure)
}

// must ends the day where something the day itself needs has failed.
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

// afterwards is done at the day's end, however it ends; its context has time left.
func (w *world) afterwards(what string, do func(context.Context) error) {
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if err := do(ctx); err != nil {
			w.Errorf("%s: %v", what, err)
		}
	})
}

// healthy waits until all of Sluice is there, and nothing that leaves is left.
func (w *world) healthy() {
	w.Helper()
	w.until("all of Sluice runs", w.whole)
}

func (w *world) whole(ctx context.Context) error {
	if err := w.api.Available(ctx, namespace); err != nil {
		return err
	}
	pods, err := w.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			return fmt.Errorf("pod %s is still leaving", pod.Name)
		}
	}
	return nil
}

// pods of one of Sluice's Deployments that are not leaving.
func (w *world) pods(ctx context.Context, app string) ([]corev1.Pod, error) {
	list, err := w.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

func (w *world) somePods(app string) []corev1.Pod {
	w.Helper()
	pods, err := w.pods(w.Context(), app)
	w.must(err)
	if len(pods) == 0 {
		w.Fatalf("no pod of %s", app)
	}
	return pods
}

func ready(pod corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// scale sets the replicas of a Deployment and waits until as many pods are there.
func (w *world) scale(deployment string, replicas int) {
	w.Helper()
	w.must(w.setReplicas(w.Context(), deployment, replicas))
	w.until(fmt.Sprintf("%s has %d pods", deployment, replicas), func(ctx context.Context) error {
		list, err := w.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + deployment})
		if err != nil {
			return err
		}
		if len(list.Items) != replicas {
			return fmt.Errorf("%d pods", len(list.Items))
		}
		return nil
	})
}

func (w *world) setReplicas(ctx context.Context, deployment string, replicas int) error {
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	_, err := w.typed.AppsV1().Deployments(namespace).Patch(ctx, deployment, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// keepReplicas has a Deployment as large at the day's end as it is now.
func (w *world) keepReplicas(deployment string) {
	w.Helper()
	was, err := w.typed.AppsV1().Deployments(namespace).Get(w.Context(), deployment, metav1.GetOptions{})
	w.must(err)
	w.afterwards("replicas of "+deployment, func(ctx context.Context) error {
		return w.setReplicas(ctx, deployment, int(*was.Spec.Replicas))
	})
}

func (w *world) deployment(name string) *appsv1.Deployment {
	w.Helper()
	deployment, err := w.typed.AppsV1().Deployments(namespace).Get(w.Context(), name, metav1.GetOptions{})
	w.must(err)
	return deployment
}

// logOf a pod's container, from a moment on.
func (w *world) logOf(ctx context.Context, pod, container string, since time.Time) (string, error) {
	from := metav1.NewTime(since)
	log, err := w.typed.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container, SinceTime: &from}).DoRaw(ctx)
	return string(log), err
}

// said is nil once one of the operators' logs holds all the words in one line.
func (w *world) said(ctx context.Context, since time.Time, words ...string) error {
	pods, err := w.pods(ctx, operator)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		log, err := w.logOf(ctx, pod.Name, "operator", since)
		if err != nil {
			continue
		}
		for line := range strings.Lines(log) {
			if containsAll(line, words) {
				return nil
			}
		}
	}
	return fmt.Errorf("no operator's log has a line with %q", words)
}

func containsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// page of an operator: /readyz or /metrics, with its status.
func page(ctx context.Context, pod corev1.Pod, path string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pod.Status.PodIP+":9090"+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// holder of the operators' lease.
func (w *world) holder(ctx context.Context) (string, error) {
	lease, err := w.typed.CoordinationV1().Leases(namespace).Get(ctx, operator, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil {
		return "", nil
	}
	return *lease.Spec.HolderIdentity, nil
}

// leader waits until a pod that is there leads.
func (w *world) leader() corev1.Pod {
	w.Helper()
	var leads corev1.Pod
	w.until("an operator leads", func(ctx context.Context) error {
		holder, err := w.holder(ctx)
		if err != nil {
			return err
		}
		pods, err := w.pods(ctx, operator)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			if strings.HasPrefix(holder, pod.Name+"_") {
				leads = pod
				return nil
			}
		}
		return fmt.Errorf("%q leads, who is not there", holder)
	})
	return leads
}
