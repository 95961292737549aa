//go:build installs

package installs

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/load"
)

// rate of requests while something is replaced, in requests a second.
const rate = 200

// during counts what becomes of requests while something is done.
func (w *world) during(host string, do func()) load.Tally {
	w.Helper()
	flow := w.toGateways(sluice, rate, host)
	do()
	return flow.stop()
}

// upgraded to another image of the same build, and back, with traffic.
func upgraded(w *world, _ snapshot) {
	w.serve("steady", map[string]any{"autoscaling.knative.dev/min-scale": "1"})
	host := outside("steady")
	var there, back outcome
	tally := w.during(host, func() {
		there = w.wants(well, []string{"first gateway", "answers 200", "one by one"},
			"upgrade", "--sluice-image", w.next, "--envoy-image", w.envoy)
	})
	w.must(tally.Lost())
	again := w.during(host, func() {
		back = w.wants(well, []string{"first gateway", "runs again"}, "upgrade", "--rollback")
	})
	w.must(again.Lost())
	w.wants(well, []string{"nothing to do"}, w.install()...)
	w.row("%s in %.0f s; back, %s in %.0f s", tally, there.took.Seconds(), again, back.took.Seconds())
}

// cutOff is an upgrade that is killed while it holds the rollout at its first gateway, with
// traffic: the same again goes on from there.
func cutOff(w *world, _ snapshot) {
	next := []string{"upgrade", "--sluice-image", w.next, "--envoy-image", w.envoy}
	gateways := w.typed.AppsV1().Deployments(cluster.ProductNamespace)
	held := func(ctx context.Context) (bool, error) {
		found, err := gateways.Get(ctx, "sluice-gateway", metav1.GetOptions{})
		return err == nil && found.Spec.Paused, err
	}
	var again outcome
	tally := w.during(outside("steady"), func() {
		alive, kill := context.WithCancel(w.Context())
		ended := make(chan outcome)
		go func() { ended <- w.run(alive, next...) }()
		w.until("the rollout is held", func(ctx context.Context) error {
			if is, err := held(ctx); err != nil || is {
				return err
			}
			return errors.New("it is not paused")
		})
		kill()
		if result := <-ended; result.exit != -1 {
			w.Fatalf("it had ended with %d before it was killed", result.exit)
		}
		again = w.wants(well, []string{"first gateway", "answers 200", "one by one"}, next...)
	})
	w.must(tally.Lost())
	if is, err := held(w.Context()); err != nil || is {
		w.Errorf("the rollout is held for good: %v", err)
	}
	w.wants(well, []string{"runs again"}, "upgrade", "--rollback")
	w.wants(well, []string{"nothing to do"}, w.install()...)
	w.row("again after it was killed, whole after %.0f s, %s", again.took.Seconds(), tally)
}

// takenBack is an upgrade to an image that nobody has, with traffic.
func takenBack(w *world, _ snapshot) {
	host := outside("steady")
	var result outcome
	tally := w.during(host, func() {
		result = w.wants(problems, []string{"sluice-that-nobody-has", "taken back"},
			"upgrade", "--sluice-image", "local.dev/sluice-that-nobody-has:1", "--envoy-image", w.envoy, "--timeout", "30")
	})
	w.must(tally.Lost())
	bad := w.during(host, func() {
		w.wants(problems, []string{"envoy-that-nobody-has", "no gateway of the new build", "taken back"},
			"upgrade", "--sluice-image", w.sluice, "--envoy-image", "local.dev/envoy-that-nobody-has:1", "--timeout", "30")
	})
	w.must(bad.Lost())
	w.wants(well, []string{"nothing to do"}, w.install()...)
	w.deleted("steady")
	w.row("image named and taken back after %.0f s, %s; of a gateway, %s", result.took.Seconds(), tally, bad)
}
