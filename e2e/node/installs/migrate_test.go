//go:build installs

package installs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"sluice/e2e/node/internal/cluster"
)

// What moves. One of them has no pod until it is asked; one splits its requests, and has
// a tag; one has a name of somebody's own.
const (
	steady = "steady"
	split  = "split"
	asleep = "asleep"
	mapped = "steady.example.org"
	// ways is how many requests a second come in by each of the ways.
	ways = 40
)

var (
	all = []string{asleep, split, steady, mapped}
	// public hosts are asked all the time, from outside; named ones from inside.
	public = []string{outside(steady), outside(split), outside("one-" + split), mapped}
	named  = []string{inside(steady), inside(split)}
)

// TestMigrates has both ingresses run, and moves what one serves to the other, back, and
// for good, while clients ask both: some know of a move later than others.
func TestMigrates(t *testing.T) {
	w := open(t)
	empty, err := w.take(t.Context())
	w.must(err)
	for _, run := range []struct {
		name string
		run  func(*world)
	}{
		{"Kourier serves", kourierServes},
		{"to Sluice, one, then all", toSluice},
		{"back to Kourier", backToKourier},
		{"to Sluice for good", forGood},
		{"Kourier is taken away", kourierGone},
		{"uninstall leaves the cluster as found", func(w *world) { undone(w, empty) }},
	} {
		// Each begins with what the one before has left.
		if !t.Run(run.name, func(t *testing.T) { run.run(w.on(t)) }) {
			return
		}
	}
}

// kourierServes is what a cluster is before somebody migrates it, with Sluice beside.
func kourierServes(w *world) {
	w.wants(well, nil, w.install()...)
	w.kubectl("apply", "--server-side", "-f", w.kourier)
	w.until("Kourier runs", func(ctx context.Context) error {
		return errors.Join(w.api.Available(ctx, kourier.namespace), w.api.Available(ctx, cluster.ServingNamespace))
	})
	w.setNetwork(fmt.Sprintf(`{"data":{"ingress-class":%q}}`, kourier.class))

	began := time.Now()
	stays := map[string]any{"autoscaling.knative.dev/min-scale": "1"}
	w.create(steady, map[string]any{"annotations": stays})
	w.create(asleep, map[string]any{"annotations": map[string]any{"autoscaling.knative.dev/initial-scale": "0"}})
	w.create(split, map[string]any{"name": split + "-one", "annotations": stays})
	w.until("the first of two revisions is Ready", func(ctx context.Context) error { return w.by(ctx, kourier, split) })
	second := `{"spec":{
		"template":{"metadata":{"name":"split-two"}},
		"traffic":[{"revisionName":"split-one","percent":50,"tag":"one"},{"latestRevision":true,"percent":50}]}}`
	_, err := w.any.Resource(services).Namespace(metav1.NamespaceDefault).
		Patch(w.Context(), split, types.MergePatchType, []byte(second), metav1.PatchOptions{})
	w.must(err)
	mapping := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.knative.dev/v1beta1", "kind": "DomainMapping",
		"metadata": map[string]any{"name": mapped, "namespace": metav1.NamespaceDefault},
		"spec": map[string]any{"ref": map[string]any{
			"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": steady,
		}},
	}}
	_, err = w.any.Resource(mappings).Namespace(metav1.NamespaceDefault).Create(w.Context(), mapping, metav1.CreateOptions{})
	w.must(err)

	w.servedBy(kourier)
	w.must(w.nobodyWoke(w.Context()))
	w.unknownToSluice()
	w.row("%d objects Ready by it after %.1f s; Sluice answers 404", len(all), time.Since(began).Seconds())
}

// servedBy waits until all are, from outside and by their names inside.
func (w *world) servedBy(of ingress) {
	w.Helper()
	w.until("all are Ready by "+of.word, func(ctx context.Context) error { return w.by(ctx, of, all...) })
	for _, host := range public {
		w.until("it answers", func(ctx context.Context) error { return w.answers(ctx, of, host) })
	}
	w.until("names lead to "+of.word, func(ctx context.Context) error {
		return w.namesLeadTo(ctx, of, steady, split, asleep)
	})
}

func (w *world) unknownToSluice() {
	w.Helper()
	w.until("Sluice serves none of it", func(ctx context.Context) error {
		for _, host := range public {
			if err := w.answersWith(ctx, http.StatusNotFound, sluice, host); err != nil {
				return err
			}
		}
		return nil
	})
}

// nobodyWoke is nil where the one that sleeps has no pod.
func (w *world) nobodyWoke(ctx context.Context) error {
	pods, err := w.typed.CoreV1().Pods(metav1.NamespaceDefault).
		List(ctx, metav1.ListOptions{LabelSelector: "serving.knative.dev/service=" + asleep})
	if err == nil && len(pods.Items) > 0 {
		err = fmt.Errorf("%s has %d pods, and nobody asked for it", asleep, len(pods.Items))
	}
	return err
}

// migrate is the command that is tested, and more arguments.
func migrate(from, to ingress, more ...string) []string {
	return slices.Concat([]string{"migrate", "--from", from.word, "--to", to.word}, more)
}

// toSluice goes as the guide says: served by both, then one, then all others, and clients
// of the old entrance are answered as long as there are any.
func toSluice(w *world) {
	w.wants(well, []string{steady, mapped, "4 would move"}, migrate(kourier, sluice, "--dry-run")...)
	w.wants(problems, []string{asleep, "are left"}, migrate(kourier, sluice, "--finish")...)
	w.wants(problems, []string{"nobody", steady}, migrate(kourier, sluice, "nobody")...)
	w.wants(problems, []string{kourier.class, "koruier.ingress"}, "migrate", "--from", "koruier", "--finish")
	w.must(w.isDefault(w.Context(), kourier))
	w.must(w.by(w.Context(), kourier, all...))
	w.must(w.unmarked(w.Context(), all...))

	through, within := w.toGateways(kourier, ways, public...), byNames(ways, named...)
	w.flowing(through, within)
	beside := w.wants(well, []string{"4 served by both"}, migrate(kourier, sluice, "--beside")...)
	w.until("all are Kourier's still", func(ctx context.Context) error { return w.by(ctx, kourier, all...) })

	// What was proven is asked for at once: not one of these may fail.
	fresh := w.toGateways(sluice, ways, public...)
	w.flowing(through, within, fresh)
	w.wants(well, []string{"1 moved"}, migrate(kourier, sluice, "ksvc/"+steady)...)
	w.until("one is Sluice's", func(ctx context.Context) error {
		return errors.Join(w.by(ctx, sluice, steady), w.by(ctx, kourier, split, asleep, mapped))
	})
	w.flowing(through, within, fresh)
	moved := w.wants(well, []string{"3 moved"}, migrate(kourier, sluice)...)
	w.servedBy(sluice)
	w.flowing(through, within, fresh)
	told := w.unhurt(through, within, fresh)

	w.must(w.isDefault(w.Context(), kourier))
	w.must(w.nobodyWoke(w.Context()))
	w.must(w.answers(w.Context(), sluice, outside(asleep)))
	w.wants(well, []string{"nothing is of kourier"}, migrate(kourier, sluice)...)
	w.row("beside after %.1f s, three moved after %.1f s: %s", beside.took.Seconds(), moved.took.Seconds(), told)
}

// backToKourier is for who has second thoughts: as before, and nothing tells of it.
func backToKourier(w *world) {
	through, within, old := w.toGateways(sluice, ways, public...), byNames(ways, named...), w.toGateways(kourier, ways, public...)
	w.flowing(through, within, old)
	back := w.wants(well, []string{"4 moved"}, migrate(sluice, kourier)...)
	w.servedBy(kourier)
	w.flowing(through, within, old)
	told := w.unhurt(through, within)

	within = byNames(ways, named...)
	w.flowing(within)
	w.wants(well, []string{"all is of kourier"}, migrate(sluice, kourier, "--finish")...)
	w.until("nothing tells of the migration", func(ctx context.Context) error { return w.unmarked(ctx, all...) })
	w.unknownToSluice()
	w.flowing(within, old)
	told += "; after that, " + w.unhurt(within, old)

	w.must(w.by(w.Context(), kourier, all...))
	w.must(w.isDefault(w.Context(), kourier))
	w.until("the one without pods answers", func(ctx context.Context) error { return w.answers(ctx, kourier, outside(asleep)) })
	w.row("all back after %.1f s: %s", back.took.Seconds(), told)
}

// forGood moves all at once, with nothing done before, and ends the migration.
func forGood(w *world) {
	through, within := w.toGateways(kourier, ways, public...), byNames(ways, named...)
	w.flowing(through, within)
	moved := w.wants(well, []string{"4 moved"}, migrate(kourier, sluice)...)
	fresh := w.toGateways(sluice, ways, public...)
	w.servedBy(sluice)
	w.flowing(through, within, fresh)
	told := w.unhurt(through, within)

	within = byNames(ways, named...)
	w.flowing(within, fresh)
	ended := w.wants(well, []string{"all is of sluice"}, migrate(kourier, sluice, "--finish")...)
	w.until("nothing tells of the migration", func(ctx context.Context) error { return w.unmarked(ctx, all...) })
	w.servedBy(sluice)
	w.flowing(within, fresh)
	w.must(w.isDefault(w.Context(), sluice))
	told += "; after that, " + w.unhurt(within, fresh)
	w.row("four moved after %.1f s, ended after %.1f s: %s", moved.took.Seconds(), ended.took.Seconds(), told)
}

// kourierGone is what a migration is for: nothing needs the old one.
func kourierGone(w *world) {
	through, within := w.toGateways(sluice, ways, public...), byNames(ways, named...)
	w.flowing(through, within)
	w.kubectl("delete", "--ignore-not-found", "--timeout=240s", "-f", w.kourier)
	w.flowing(through, within)
	told := w.unhurt(through, within)

	w.servedBy(sluice)
	w.must(w.answers(w.Context(), sluice, outside(asleep)))
	w.serve("after", nil)
	own := w.any.Resource(mappings).Namespace(metav1.NamespaceDefault)
	w.must(own.Delete(w.Context(), mapped, metav1.DeleteOptions{}))
	w.deleted(steady, split, asleep, "after")
	w.row("%s; nothing is left of what was served", told)
}
