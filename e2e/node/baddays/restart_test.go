//go:build baddays

package baddays

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func rollingRestart(w *world) {
	p := w.place()
	w.tell("ready in %.1f s", p.served("steady", p.host("a"), p.host("b")).Seconds())
	load := w.flows(300, p.host("a"), p.host("b"))
	began := time.Now()
	for _, deployment := range []string{operator, gateway} {
		w.must(w.api.Restart(w.Context(), namespace, deployment))
	}
	// Until the last pod that leaves is gone: what it drops at its end counts.
	w.until("all pods are new", w.whole)
	w.tell("all pods new in %.0f s", time.Since(began).Seconds())
	load.lostNone()
}

// operatorKilled: as often as the issue at hand may be at any point of its work.
func operatorKilled(w *world) {
	const kills = 20
	p := w.place()
	p.served("steady", p.host("steady"))
	p.served("moving", p.host("moving"), p.host("at-0"))
	load := w.flows(60, p.host("steady"), p.host("moving"))

	// Changes go on all the while; their number names the host that is to be served.
	ctx, stop := context.WithCancel(w.Context())
	updates := make(chan int)
	go func() {
		defer close(updates)
		for number := 1; ; number++ {
			// The API server's webhook is there all the time, so an error is one.
			if err := p.apply(ctx, "moving", p.host("moving"), p.host(fmt.Sprintf("at-%d", number))); err != nil {
				if ctx.Err() == nil {
					w.Errorf("update %d: %v", number, err)
				}
				return
			}
			select {
			case updates <- number:
			case <-ctx.Done():
				return
			}
		}
	}()
	// Each kill comes after a random number of updates.
	last := 0
	for range kills {
		for range 1 + rand.IntN(12) {
			number, more := <-updates
			if !more {
				stop()
				w.Fatal("the updates ended")
			}
			last = number
			w.pause(100 * time.Millisecond)
		}
		w.until("an operator to kill", func(ctx context.Context) error {
			pods, err := w.pods(ctx, operator)
			if err != nil {
				return err
			}
			if len(pods) == 0 {
				return fmt.Errorf("none runs")
			}
			return w.kill(ctx, pods[rand.IntN(len(pods))], "sluice")
		})
	}
	stop()
	for range updates {
	}
	// The one that was cut off may have been stored or not; this one is.
	last += 2
	began := time.Now()
	w.must(p.apply(w.Context(), "moving", p.host("moving"), p.host(fmt.Sprintf("at-%d", last))))
	p.becomesReady("moving")
	w.must(w.everywhere(w.Context(), p.host(fmt.Sprintf("at-%d", last)), 200))
	w.tell("%d kills in %d updates, ready %.1f s after the last", kills, last, time.Since(began).Seconds())
	w.must(w.everywhere(w.Context(), p.host("at-0"), 404))
	load.lostNone()
	w.healthy()
}

func leaderKilled(w *world) {
	p := w.place()
	p.served("steady", p.host("steady"))
	load := w.flows(20, p.host("steady"))
	leader := w.leader()
	began := time.Now()
	w.must(w.kill(w.Context(), leader, "sluice"))
	w.until("another leads", func(ctx context.Context) error {
		holder, err := w.holder(ctx)
		if err == nil && (holder == "" || strings.HasPrefix(holder, leader.Name+"_")) {
			err = fmt.Errorf("%q holds the lease", holder)
		}
		return err
	})
	took := time.Since(began)
	w.tell("another leads after %.1f s", took.Seconds())
	// One interval of asking comes on top of what the lease promises.
	if took > 15*time.Second+500*time.Millisecond {
		w.Errorf("it took %s, expected 15 s at most", took)
	}
	w.tell("an Ingress made then is ready in %.1f s", p.served("after", p.host("after")).Seconds())
	load.lostNone()
}

func leaderEnds(w *world) {
	leader := w.leader()
	began := time.Now()
	w.must(w.typed.CoreV1().Pods(namespace).Delete(w.Context(), leader.Name, metav1.DeleteOptions{}))
	w.until("another leads", func(ctx context.Context) error {
		holder, err := w.holder(ctx)
		if err == nil && (holder == "" || strings.HasPrefix(holder, leader.Name+"_")) {
			err = fmt.Errorf("%q holds the lease", holder)
		}
		return err
	})
	took := time.Since(began)
	w.tell("another leads after %.1f s", took.Seconds())
	// A lease that was not released lapses no sooner than ten seconds after it was renewed.
	if took > 10*time.Second {
		w.Errorf("it took %s: the lease lapsed, expected it to be released", took)
	}
}

func gatewayAlone(w *world) {
	p := w.place()
	p.served("steady", p.host("a"), p.host("b"))
	w.keepReplicas(operator)
	w.scale(operator, 0)
	for _, program := range []string{"envoy", "sluice"} {
		pod := w.somePods(gateway)[0]
		before := restarts(w, pod.Name)
		began := time.Now()
		w.must(signalled(pod, program, syscall.SIGKILL))
		w.until("the container starts again", func(ctx context.Context) error {
			if now := restarts(w, pod.Name); now <= before {
				return fmt.Errorf("%d restarts", now)
			}
			return nil
		})
		w.until("the gateway is ready without an operator", func(ctx context.Context) error {
			found, err := w.typed.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			// Not served yet is one thing; that it does not know a host is another.
			status, err := ask(ctx, found.Status.PodIP+":8080", p.host("a"))
			if err == nil && status != 200 {
				w.Fatalf("without an operator it answered %d", status)
			}
			if err == nil && !ready(*found) {
				err = fmt.Errorf("pod %s is not ready", pod.Name)
			}
			return err
		})
		w.tell("%s killed: serves again after %.1f s", program, time.Since(began).Seconds())
	}
	load := w.flows(60, p.host("a"), p.host("b"))
	w.pause(10 * time.Second)
	load.lostNone()
}

func restarts(w *world, pod string) (sum int32) {
	found, err := w.typed.CoreV1().Pods(namespace).Get(w.Context(), pod, metav1.GetOptions{})
	w.must(err)
	for _, container := range found.Status.ContainerStatuses {
		sum += container.RestartCount
	}
	return sum
}

// pause is a length of load or a rate of changes, never a wait for something.
func (w *world) pause(length time.Duration) {
	select {
	case <-time.After(length):
	case <-w.Context().Done():
	}
}
