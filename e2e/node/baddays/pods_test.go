//go:build baddays

package baddays

import (
	"context"
	"fmt"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sluice/e2e/node/internal/cluster"
)

const serving = cluster.ServingNamespace

// through has requests to an app's pods go past the activator, or not. It is an
// annotation of its revision.
func through(activator bool, pods string) map[string]string {
	capacity := "0"
	if activator {
		capacity = "-1"
	}
	return map[string]string{
		"autoscaling.knative.dev/min-scale":             pods,
		"autoscaling.knative.dev/max-scale":             pods,
		"autoscaling.knative.dev/target-burst-capacity": capacity,
	}
}

// public Endpoints of the app's only revision, which Serving writes.
func (a *app) public(ctx context.Context) (*corev1.Endpoints, error) {
	return a.typed.CoreV1().Endpoints(a.namespace).Get(ctx, a.name+"-00001", metav1.GetOptions{})
}

// leadsTo waits until the app's public Service leads to so many of its own pods.
func (a *app) leadsTo(count int) {
	a.Helper()
	a.until(fmt.Sprintf("%s leads to %d of its pods", a.name, count), func(ctx context.Context) error {
		pods, err := a.pods(ctx)
		if err != nil {
			return err
		}
		own := map[string]bool{}
		for _, pod := range pods {
			own[pod.Status.PodIP] = true
		}
		endpoints, err := a.public(ctx)
		if err != nil {
			return err
		}
		found := 0
		for _, subset := range endpoints.Subsets {
			for _, address := range subset.Addresses {
				if own[address.IP] {
					found++
				}
			}
		}
		if found != count {
			return fmt.Errorf("it leads to %d", found)
		}
		return nil
	})
}

// emptiedEndpoints: for a moment Serving may have nothing to write; here it is all of
// the public Endpoints, for up to four seconds, while the activator holds every request.
func emptiedEndpoints(w *world) {
	const times, step = 20, 200 * time.Millisecond
	a := w.place().app("held", wanted{port: "http1", annotations: through(true, "1")})
	a.leadsTo(0)
	load := w.flows(300, a.host)
	write := func(subsets []corev1.EndpointSubset) {
		public, err := a.public(w.Context())
		w.must(err)
		public.Subsets = subsets
		_, err = a.typed.CoreV1().Endpoints(a.namespace).Update(w.Context(), public, metav1.UpdateOptions{})
		w.must(err)
	}
	public, err := a.public(w.Context())
	w.must(err)
	for round := range times {
		write(nil)
		w.pause(step * time.Duration(round+1))
		write(public.Subsets)
		w.pause(step)
	}
	w.tell("emptied %d times, for up to %.1f s", times, (step * times).Seconds())
	load.lostNone()
}

// activatorRollout: every pod of the activator is replaced while all requests are in it.
func activatorRollout(w *world) {
	a := w.place().app("held", wanted{port: "http1", annotations: through(true, "1")})
	a.leadsTo(0)
	load := w.flows(300, a.host)
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"bad-day/at":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
	deployments := w.typed.AppsV1().Deployments(serving)
	changed, err := deployments.Patch(w.Context(), cluster.Activator, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	w.must(err)
	took := w.until("the activator is new", func(ctx context.Context) error {
		now, err := deployments.Get(ctx, cluster.Activator, metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, err := w.typed.CoreV1().Pods(serving).List(ctx, metav1.ListOptions{LabelSelector: "app=" + cluster.Activator})
		if err != nil {
			return err
		}
		status := now.Status
		if status.ObservedGeneration < changed.Generation || status.UpdatedReplicas != *now.Spec.Replicas ||
			status.ReadyReplicas != *now.Spec.Replicas || len(pods.Items) != int(*now.Spec.Replicas) {
			return fmt.Errorf("%d pods, %d of them new, %d ready", len(pods.Items), status.UpdatedReplicas, status.ReadyReplicas)
		}
		return nil
	})
	w.tell("new after %.0f s", took.Seconds())
	load.lostNone()
}

// podsKilled: a pod's processes end at once, as with a power cut. Lost may be what they
// were answering just then, and nothing else.
func podsKilled(w *world) {
	const kills = 10
	a := w.place().app("mortal", wanted{port: "http1", annotations: through(false, "3")})
	a.leadsTo(3)
	load := w.flows(300, a.host)
	inFlight := 0
	for kill := range kills {
		a.leadsTo(3)
		pods, err := a.pods(w.Context())
		w.must(err)
		var victim corev1.Pod
		for _, pod := range pods {
			if pod.DeletionTimestamp == nil && ready(pod) {
				victim = pod
			}
		}
		// The proxy has the connections; with it alone gone no answer is lost twice.
		w.must(signalled(victim, "queue", syscall.SIGKILL))
		now := int64(0)
		w.must(a.typed.CoreV1().Pods(a.namespace).Delete(w.Context(), victim.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
		inFlight += 2
		w.until(fmt.Sprintf("pod %d of %d is replaced", kill+1, kills), func(ctx context.Context) error {
			_, err := a.typed.CoreV1().Pods(a.namespace).Get(ctx, victim.Name, metav1.GetOptions{})
			if err == nil {
				return fmt.Errorf("%s is still there", victim.Name)
			}
			return nil
		})
	}
	w.tell("%d pods killed", kills)
	// Three pods answer 300 a second within milliseconds each: two may be in one of them.
	load.lostAtMost(inFlight)
}

// drained: all pods of an app are evicted at once, as a node's are that is drained.
func drained(w *world) {
	const pods = 4
	a := w.place().app("moved", wanted{port: "http1", annotations: through(false, "4")})
	a.leadsTo(pods)
	load := w.flows(300, a.host)
	before, err := a.pods(w.Context())
	w.must(err)
	for _, pod := range before {
		w.must(a.typed.PolicyV1().Evictions(a.namespace).Evict(w.Context(), &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: a.namespace},
		}))
	}
	took := w.until("all are replaced", func(ctx context.Context) error {
		now, err := a.pods(ctx)
		if err != nil {
			return err
		}
		left := map[string]bool{}
		for _, pod := range now {
			left[pod.Name] = true
		}
		for _, pod := range before {
			if left[pod.Name] {
				return fmt.Errorf("%s is still leaving", pod.Name)
			}
		}
		return nil
	})
	a.leadsTo(pods)
	w.tell("%d evicted at once, gone after %.0f s", len(before), took.Seconds())
	load.lostNone()
}
