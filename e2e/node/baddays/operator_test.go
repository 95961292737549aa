//go:build baddays

package baddays

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// otherImage names another build of Sluice than the one that runs, in the environment.
const otherImage = "SLUICE_OTHER_IMAGE"

// heal is for a day that ended anyhow: all of Sluice runs before the next begins, and
// no operator broke down over what it was shown.
func (w *world) heal(since time.Time) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*grace)
	defer cancel()
	if err := w.resumeAll(); err != nil {
		w.Error(err)
	}
	var missing error
	for ctx.Err() == nil {
		if missing = w.whole(ctx); missing == nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	if missing != nil {
		w.Errorf("the day leaves a Sluice that is not whole: %v; %q", missing, w.api.TellPods(context.Background(), namespace))
		return
	}
	pods, err := w.pods(ctx, operator)
	if err != nil {
		w.Error(err)
		return
	}
	for _, pod := range pods {
		log, err := w.logOf(ctx, pod.Name, "operator", since)
		if err != nil {
			w.Error(err)
		}
		for _, fault := range faults(log) {
			w.Errorf("%s: %s", pod.Name, fault)
		}
	}
}

// nonsense in every ConfigMap that is read: each value keeps its last good one.
func nonsense(w *world) {
	p := w.place()
	p.served("steady", p.host("steady"))
	load := w.flows(60, p.host("steady"))
	began := time.Now()
	for _, one := range []struct{ namespace, name, key, value string }{
		{namespace, "config-sluice", "client-streams", "many"},
		{namespace, "config-sluice", "trusted-hop-count", "1"},
		{namespace, "config-sluice", "internal-certificate", "no/such/name"},
		{"knative-serving", "config-network", "system-internal-tls", "Perhaps"},
		{"knative-serving", "config-observability", "tracing-protocol", "pigeon"},
	} {
		w.restore(one.namespace, one.name)
		err := w.set(one.namespace, one.name, map[string]*string{one.key: &one.value})
		if err != nil && strings.Contains(err.Error(), "admission webhook") {
			// Knative's own check stands before; then nobody is told.
			w.tell("%s: refused before it is stored", one.key)
			continue
		}
		w.must(err)
		w.until(one.key+" is named", func(ctx context.Context) error {
			return w.said(ctx, began, "WARN", one.name, one.key)
		})
	}
	// Not even an object where only texts may be: the API server refuses it.
	patch := []byte(`{"data":{"client-streams":{"many":1}}}`)
	_, err := w.typed.CoreV1().ConfigMaps(namespace).Patch(w.Context(), "config-sluice", types.MergePatchType, patch, metav1.PatchOptions{})
	if err == nil {
		w.Error("the API server took an object for a text")
	}
	w.tell("all named; an Ingress made then is ready in %.1f s", p.served("after", p.host("after")).Seconds())
	w.must(w.everywhere(w.Context(), p.host("after"), 200))
	load.lostNone()
}

// set keys of a ConfigMap; nil removes one.
func (w *world) set(namespace, name string, data map[string]*string) error {
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	_, err = w.typed.CoreV1().ConfigMaps(namespace).Patch(w.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// restore has a ConfigMap say at the day's end what it says now.
func (w *world) restore(namespace, name string) {
	w.Helper()
	was, err := w.typed.CoreV1().ConfigMaps(namespace).Get(w.Context(), name, metav1.GetOptions{})
	w.must(err)
	w.afterwards("ConfigMap "+name, func(ctx context.Context) error {
		now, err := w.typed.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now.Data = was.Data
		_, err = w.typed.CoreV1().ConfigMaps(namespace).Update(ctx, now, metav1.UpdateOptions{})
		return err
	})
}

// permissionMissing: operators that start without one of their permissions serve
// nobody, for they do not know the world; gateways go on as they are.
func permissionMissing(w *world) {
	p := w.place()
	p.served("steady", p.host("steady"))
	w.keepReplicas(operator)
	w.scale(operator, 0)
	roles := w.typed.RbacV1().ClusterRoles()
	was, err := roles.Get(w.Context(), operator, metav1.GetOptions{})
	w.must(err)
	give := func(ctx context.Context, missing string) error {
		now, err := roles.Get(ctx, operator, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now.Rules = slices.Clone(was.Rules)
		for n, rule := range now.Rules {
			now.Rules[n].Resources = slices.DeleteFunc(slices.Clone(rule.Resources), func(resource string) bool { return resource == missing })
		}
		now.Rules = slices.DeleteFunc(now.Rules, func(rule rbacv1.PolicyRule) bool { return len(rule.Resources) == 0 })
		_, err = roles.Update(ctx, now, metav1.UpdateOptions{})
		return err
	}
	w.afterwards("ClusterRole", func(ctx context.Context) error { return give(ctx, "") })
	w.must(give(w.Context(), "endpointslices"))
	load := w.flows(60, p.host("steady"))
	began := time.Now()
	w.must(w.setReplicas(w.Context(), operator, 2))
	w.until("the log names the resource", func(ctx context.Context) error {
		return w.said(ctx, began, "WARN", "endpointslices", "forbidden")
	})
	w.until("readiness names the resource", func(ctx context.Context) error {
		return w.unready(ctx, "endpointslices", "forbidden")
	})
	w.must(p.apply(w.Context(), "without", p.host("without")))
	w.must(w.everywhere(w.Context(), p.host("steady"), 200))
	w.must(give(w.Context(), ""))
	given := time.Now()
	p.becomesReady("without")
	w.tell("ready %.1f s after it is granted", time.Since(given).Seconds())
	w.healthy()
	load.lostNone()
}

// unready is nil where every operator says it is not ready, in these words.
func (w *world) unready(ctx context.Context, words ...string) error {
	pods, err := w.pods(ctx, operator)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return errors.New("no operator runs")
	}
	for _, pod := range pods {
		status, said, err := page(ctx, pod, "/readyz")
		if err != nil {
			return err
		}
		if status == 200 || !slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool { return containsAll(line, words) }) {
			return fmt.Errorf("%s says %d %q", pod.Name, status, said)
		}
	}
	return nil
}

// definitionMissing: an operator that starts before Knative was installed waits and
// says so. The definition is not served instead of not there: so other's Ingresses
// outlive the day, and to who asks it is the same.
func definitionMissing(w *world) {
	p := w.place()
	p.served("steady", p.host("steady"))
	w.keepReplicas(operator)
	w.scale(operator, 0)
	serve := func(ctx context.Context, served bool) error {
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/versions/0/served","value":%t}]`, served)
		_, err := w.any.Resource(definitions).Patch(ctx, ingresses.GroupResource().String(), types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	w.afterwards("the definition", func(ctx context.Context) error { return serve(ctx, true) })
	load := w.flows(60, p.host("steady"))
	w.must(serve(w.Context(), false))
	w.until("Ingresses are unknown", func(ctx context.Context) error {
		_, err := p.get(ctx, "steady")
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("found %v", err)
	})
	began := time.Now()
	w.must(w.setReplicas(w.Context(), operator, 2))
	w.until("the log names the resource", func(ctx context.Context) error {
		return w.said(ctx, began, "WARN", "ingresses")
	})
	w.until("readiness names the resource", func(ctx context.Context) error { return w.unready(ctx, "ingresses") })
	for _, pod := range w.somePods(operator) {
		if status, _, err := page(w.Context(), pod, "/healthz"); err != nil || status != 200 {
			w.Errorf("%s: alive says %d (%v), expected 200 from one that waits", pod.Name, status, err)
		}
	}
	w.must(serve(w.Context(), true))
	back := time.Now()
	w.until("Ingresses are known again", func(ctx context.Context) error { return p.isReady(ctx, "steady") })
	p.served("after", p.host("after"))
	w.tell("an Ingress is ready %.1f s after they are defined", time.Since(back).Seconds())
	w.healthy()
	w.must(w.everywhere(w.Context(), p.host("after"), 200))
	load.lostNone()
}

// twoBuilds: an operator of another build beside one of this, each leading once. What
// they make of the same Ingresses differs; nobody may see them quarrel.
func twoBuilds(w *world) {
	image := os.Getenv(otherImage)
	if image == "" {
		w.Fatalf("%s is not set; hack/run-bad-days builds it", otherImage)
	}
	p := w.place()
	p.served("steady", p.host("a"), p.host("b"))
	w.keepReplicas(operator)
	load := w.flows(60, p.host("a"), p.host("b"))
	other := w.operatorOf(image)
	w.must(w.setReplicas(w.Context(), operator, 1))
	w.until("one of each build", func(ctx context.Context) error {
		if err := w.api.Available(ctx, namespace); err != nil {
			return err
		}
		pods, err := w.pods(ctx, operator)
		if err == nil && len(pods) != 2 {
			err = fmt.Errorf("%d operators", len(pods))
		}
		return err
	})
	led := map[bool]bool{}
	for change := range 4 {
		leader := w.leader()
		isOther := leader.Name == other
		led[isOther] = true
		name := fmt.Sprintf("change-%d", change)
		p.served(name, p.host(name))
		w.must(w.everywhere(w.Context(), p.host(name), 200))
		// For three probes' time nobody writes what the other wrote.
		before := p.bytes(name)
		w.pause(3 * time.Second)
		if after := p.bytes(name); after != before {
			w.Errorf("Ingress %s is written again:\n%s\n%s", name, before, after)
		}
		if led[true] && led[false] {
			break
		}
		w.must(w.typed.CoreV1().Pods(namespace).Delete(w.Context(), leader.Name, metav1.DeleteOptions{}))
		if isOther {
			w.until("it has left", func(ctx context.Context) error {
				_, err := w.typed.CoreV1().Pods(namespace).Get(ctx, other, metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return nil
				}
				return fmt.Errorf("it is there (%v)", err)
			})
			other = w.operatorOf(image)
		}
		w.until("another leads", func(ctx context.Context) error {
			holder, err := w.holder(ctx)
			if err == nil && (holder == "" || strings.HasPrefix(holder, leader.Name+"_")) {
				err = fmt.Errorf("%q holds the lease", holder)
			}
			return err
		})
	}
	if !led[true] || !led[false] {
		w.Errorf("only one build led: other %t, this %t", led[true], led[false])
	}
	w.tell("each build led and served")
	load.lostNone()
}

// operatorOf another image, beside the Deployment's, until the day's end.
func (w *world) operatorOf(image string) string {
	w.Helper()
	template := w.deployment(operator).Spec.Template
	spec := template.Spec.DeepCopy()
	spec.Containers[0].Image = image
	pod, err := w.typed.CoreV1().Pods(namespace).Create(w.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "other-build-", Labels: template.Labels}, Spec: *spec,
	}, metav1.CreateOptions{})
	w.must(err)
	w.afterwards("pod of another build", func(ctx context.Context) error {
		err := w.typed.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	w.until("it is ready", func(ctx context.Context) error {
		found, err := w.typed.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && !ready(*found) {
			err = fmt.Errorf("pod %s is %s", pod.Name, found.Status.Phase)
		}
		return err
	})
	return pod.Name
}
