//go:build baddays

package baddays

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const apiServer = "kube-apiserver"

// away is the API server stopped for a while; it is there again afterwards in any case.
func (w *world) away(length time.Duration) {
	w.Helper()
	w.afterwards("the API server", func(context.Context) error { return w.resumeAll() })
	w.must(w.node.Stop(apiServer, 20*time.Second))
	w.pause(length)
	w.must(w.node.Resume(apiServer))
	w.until("the API server is ready", w.api.Ready)
	w.must(w.resumeAll())
}

// resumeAll starts what has ended: Kubernetes' controllers end where they cannot renew
// their leases, and expect to be started again.
func (w *world) resumeAll() error {
	states, err := w.node.List()
	if err != nil {
		return err
	}
	for _, state := range states {
		if !state.Running {
			err = errors.Join(err, w.node.Resume(state.Name))
		}
	}
	return err
}

func serverAway(w *world) {
	p := w.place()
	p.served("steady", p.host("a"), p.host("b"))
	load := w.flows(60, p.host("a"), p.host("b"))
	w.away(2 * time.Minute)
	began := time.Now()
	w.until("an update is stored", func(ctx context.Context) error {
		return p.apply(ctx, "steady", p.host("a"), p.host("b"), p.host("c"))
	})
	stored := time.Now()
	p.becomesReady("steady")
	w.must(w.everywhere(w.Context(), p.host("c"), 200))
	w.tell("an update is stored %.1f s after it is back, ready %.1f s later", stored.Sub(began).Seconds(), time.Since(stored).Seconds())
	load.lostNone()
}

// watchesExpire: a server that starts anew keeps no event of before, so every watch
// that goes on from where it was is told that this is too old.
func watchesExpire(w *world) {
	p := w.place()
	const many = 10
	hosts := make([]string, many)
	for n := range hosts {
		hosts[n] = p.host(fmt.Sprintf("h-%d", n))
		w.must(p.apply(w.Context(), fmt.Sprintf("i-%d", n), hosts[n]))
	}
	for n := range hosts {
		p.becomesReady(fmt.Sprintf("i-%d", n))
	}
	pod := w.somePods(operator)[0]
	before := w.watched(w.Context(), pod, "ingresses")
	load := w.flows(60, hosts...)
	w.away(time.Second)
	w.until("every Ingress is listed again", func(ctx context.Context) error {
		// Their list is one event for each, and nobody changed any of them.
		if now := w.watched(ctx, pod, "ingresses"); now < before+many {
			return fmt.Errorf("%d events, %d before", now, before)
		}
		return nil
	})
	began := time.Now()
	w.until("an update is stored", func(ctx context.Context) error {
		return p.apply(ctx, "i-0", hosts[0], p.host("new"))
	})
	p.becomesReady("i-0")
	w.tell("listed again; an update is ready %.1f s after", time.Since(began).Seconds())
	w.must(w.everywhere(w.Context(), p.host("new"), 200))
	load.lostNone()
}

var events = regexp.MustCompile(`(?m)^sluice_watch_events_total\{resource="(\w+)"\} (\d+)`)

// watched is how many events of a resource an operator has seen.
func (w *world) watched(ctx context.Context, pod corev1.Pod, resource string) int {
	w.Helper()
	_, metrics, err := page(ctx, pod, "/metrics")
	w.must(err)
	for _, match := range events.FindAllStringSubmatch(metrics, -1) {
		if match[1] == resource {
			count, err := strconv.Atoi(match[2])
			w.must(err)
			return count
		}
	}
	w.Fatalf("%s counts no events of %s", pod.Name, resource)
	return 0
}
