//go:build baddays

package baddays

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func noGateway(w *world) {
	p := w.place()
	p.served("before", p.host("before"))
	w.keepReplicas(gateway)
	w.scale(gateway, 0)
	began := time.Now()
	w.must(p.apply(w.Context(), "without", p.host("without")))
	w.until("its status says that there is no gateway", func(ctx context.Context) error {
		found, err := p.state(ctx, "without")
		if err != nil {
			return err
		}
		if found.status == "True" {
			w.Fatal("it is ready without a gateway")
		}
		if !found.current || found.reason != "NoGateway" {
			return fmt.Errorf("%+v", found)
		}
		return nil
	})
	w.tell("NoGateway after %.1f s", time.Since(began).Seconds())
	began = time.Now()
	w.must(w.setReplicas(w.Context(), gateway, 2))
	p.becomesReady("without")
	w.tell("ready %.1f s after gateways are wanted again", time.Since(began).Seconds())
	w.healthy()
	w.must(w.everywhere(w.Context(), p.host("without"), 200))
	w.must(w.everywhere(w.Context(), p.host("before"), 200))
}

// gatewaySilent: first a companion that is stopped, as by a debugger or a host that
// hangs: its Envoy serves what it has, and never hears of anything new. Then an Envoy
// that is: it answers nobody, so nobody is sent to it, and nobody waits for it.
func gatewaySilent(w *world) {
	p := w.place()
	p.served("steady", p.host("steady"))
	pods := w.somePods(gateway)
	silent, other := pods[0], pods[1]
	for _, program := range []string{"sluice", "envoy"} {
		w.afterwards(program+" goes on", func(context.Context) error { return signalled(silent, program, syscall.SIGCONT) })
	}
	load := w.flowsTo(other.Status.PodIP+":8080", 60, p.host("steady"))
	w.must(signalled(silent, "sluice", syscall.SIGSTOP))
	w.must(p.apply(w.Context(), "new", p.host("new")))
	took := w.until("its status names the gateway", func(ctx context.Context) error {
		found, err := p.state(ctx, "new")
		if err != nil {
			return err
		}
		if found.status == "True" {
			w.Fatal("it is ready though a gateway is silent")
		}
		if !found.current || !strings.Contains(found.message, silent.Name) {
			return fmt.Errorf("%+v, expected one that names %s", found, silent.Name)
		}
		if strings.Contains(found.message, other.Name) {
			w.Fatalf("it names %s, which acknowledged: %s", other.Name, found.message)
		}
		return nil
	})
	w.tell("named after %.1f s", took.Seconds())
	w.must(w.answers(other.Status.PodIP, p.host("new")))
	w.must(w.answers(silent.Status.PodIP, p.host("steady")))
	w.must(signalled(silent, "sluice", syscall.SIGCONT))
	w.tell("ready %.1f s after it goes on", p.becomesReady("new").Seconds())

	w.must(signalled(silent, "envoy", syscall.SIGSTOP))
	stopped := time.Now()
	w.until("the silent one is unready", func(ctx context.Context) error {
		pod, err := w.typed.CoreV1().Pods(namespace).Get(ctx, silent.Name, metav1.GetOptions{})
		if err == nil && ready(*pod) {
			err = fmt.Errorf("pod %s is ready", silent.Name)
		}
		return err
	})
	p.served("newer", p.host("newer"))
	w.tell("ready without an Envoy %.1f s after it hangs", time.Since(stopped).Seconds())
	w.must(w.answers(other.Status.PodIP, p.host("newer")))
	w.must(signalled(silent, "envoy", syscall.SIGCONT))
	w.healthy()
	w.must(w.everywhere(w.Context(), p.host("newer"), 200))
	load.lostNone()
}

func (w *world) answers(address, host string) error {
	status, err := ask(w.Context(), address+":8080", host)
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d for %s, expected 200", status, host)
	}
	return err
}

// evictions: of two pods one may be evicted, and the other not before it is replaced.
func evictions(w *world) {
	p := w.place()
	p.served("steady", p.host("steady"))
	load := w.flows(60, p.host("steady"))
	for _, app := range []string{operator, gateway} {
		pods := w.somePods(app)
		w.must(w.evict(pods[0].Name))
		switch err := w.evict(pods[1].Name); {
		case err == nil:
			w.Errorf("%s: both pods were evicted at once", app)
		case !apierrors.IsTooManyRequests(err):
			w.Errorf("%s: the second eviction failed by %v, expected the budget", app, err)
		}
		w.healthy()
		w.tell("%s: one evicted, the second refused", app)
	}
	load.lostNone()
}

func (w *world) evict(pod string) error {
	return w.typed.PolicyV1().Evictions(namespace).Evict(w.Context(), &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: namespace},
	})
}
