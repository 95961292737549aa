//go:build baddays

package baddays

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/e2e/node/internal/layout"
)

// deletedWhileProbed: Ingresses that go at any point of what is done for them, then
// one for certain while gateways are waited for.
func deletedWhileProbed(w *world) {
	const many = 40
	p := w.place()
	p.served("steady", p.host("steady"))
	began := time.Now()
	load := w.flows(60, p.host("steady"))
	for n := range many {
		name := fmt.Sprintf("short-%d", n)
		w.must(p.apply(w.Context(), name, p.host(name)))
		w.pause(time.Duration(rand.IntN(60)) * time.Millisecond)
		w.must(p.remove(name))
	}
	silent := w.somePods(gateway)[0]
	w.afterwards("envoy goes on", func(context.Context) error { return signalled(silent, "envoy", syscall.SIGCONT) })
	w.must(signalled(silent, "envoy", syscall.SIGSTOP))
	w.must(p.apply(w.Context(), "waiting", p.host("waiting")))
	w.until("it waits for gateways", func(ctx context.Context) error {
		found, err := p.state(ctx, "waiting")
		if err == nil && (!found.current || found.status == "True") {
			err = fmt.Errorf("%+v", found)
		}
		return err
	})
	w.must(p.remove("waiting"))
	w.must(signalled(silent, "envoy", syscall.SIGCONT))
	w.until("nothing of them is served", func(ctx context.Context) error {
		for n := range many {
			if err := w.everywhere(ctx, p.host(fmt.Sprintf("short-%d", n)), 404); err != nil {
				return err
			}
		}
		return w.everywhere(ctx, p.host("waiting"), 404)
	})
	w.tell("%d deleted on their way, none is served", many+1)
	p.served("waiting", p.host("waiting"))
	w.must(w.everywhere(w.Context(), p.host("waiting"), 200))
	for _, pod := range w.somePods(operator) {
		log, err := w.logOf(w.Context(), pod.Name, "operator", began)
		w.must(err)
		for line := range strings.Lines(log) {
			// A status that finds its Ingress gone is no fault of anyone's.
			if strings.Contains(line, p.namespace) && (strings.Contains(line, " WARN ") || strings.Contains(line, " ERROR ")) &&
				!strings.Contains(line, silent.Name) {
				w.Errorf("%s: %s", pod.Name, strings.TrimSpace(line))
			}
		}
	}
	load.lostNone()
}

func (p *place) remove(name string) error {
	return p.any.Resource(ingresses).Namespace(p.namespace).Delete(p.Context(), name, metav1.DeleteOptions{})
}

// anotherPort: a Service that is made again with a port that nobody asks for.
func anotherPort(w *world) {
	p := w.place()
	w.must(p.serve("moving", 80))
	p.served("steady", p.host("steady"))
	moving := p.object(ingress{name: "moving", class: layout.IngressClass, service: "moving", hosts: []string{p.host("moving")}})
	w.must(p.applyObject(w.Context(), moving))
	p.becomesReady("moving")
	load := w.flows(60, p.host("steady"))

	services := p.typed.CoreV1().Services(p.namespace)
	w.must(services.Delete(w.Context(), "moving", metav1.DeleteOptions{}))
	w.until("the Service is gone", func(ctx context.Context) error {
		_, err := services.Get(ctx, "moving", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there (%v)", err)
	})
	w.must(p.serve("moving", 81))
	took := w.until("its status names the port", func(ctx context.Context) error {
		found, err := p.state(ctx, "moving")
		if err != nil {
			return err
		}
		for _, word := range []string{"moving", "80", "81"} {
			if !strings.Contains(found.message, word) {
				return fmt.Errorf("%+v, expected the Service, what was asked for and what there is", found)
			}
		}
		if found.status == "True" || found.reason != "PortMissing" {
			return fmt.Errorf("%+v, expected PortMissing", found)
		}
		return nil
	})
	w.tell("PortMissing after %.1f s", took.Seconds())
	moving = p.object(ingress{name: "moving", class: layout.IngressClass, service: "moving", port: 81, hosts: []string{p.host("moving")}})
	w.must(p.applyObject(w.Context(), moving))
	w.tell("ready %.1f s after it asks for the other", p.becomesReady("moving").Seconds())
	w.must(w.everywhere(w.Context(), p.host("moving"), 200))
	load.lostNone()
}

// otherClasses are nobody's business here: not a byte of theirs changes, even of one
// that was Sluice's before.
func otherClasses(w *world) {
	p := w.place()
	p.served("leaving", p.host("leaving"))
	// A field that this class's owner may know, as any owner may write a status.
	for _, one := range []ingress{
		{name: "other", class: "other.ingress.networking.knative.dev", hosts: []string{p.host("other")}},
		{name: "none", hosts: []string{p.host("none")}},
		{name: "refused", class: "other.ingress.networking.knative.dev", service: "absent", hosts: []string{p.host("leaving")}},
	} {
		w.must(p.applyObject(w.Context(), p.object(one)))
	}
	w.must(p.applyObject(w.Context(), p.object(ingress{
		name: "leaving", class: "other.ingress.networking.knative.dev", hosts: []string{p.host("leaving")},
	})))
	names := []string{"other", "none", "refused", "leaving"}
	before := map[string]string{}
	for _, name := range names {
		before[name] = p.bytes(name)
	}
	w.until("what was let go is not served", func(ctx context.Context) error {
		return w.everywhere(ctx, p.host("leaving"), 404)
	})
	// Whatever is done at a start and at a change of leaders is done too.
	w.must(w.api.Restart(w.Context(), namespace, operator))
	w.healthy()
	w.leader()
	p.served("ours", p.host("ours"))
	for _, name := range names {
		if after := p.bytes(name); after != before[name] {
			w.Errorf("Ingress %s was changed from\n%s\nto\n%s", name, before[name], after)
		}
	}
	for _, name := range []string{"other", "none", "leaving"} {
		w.must(w.everywhere(w.Context(), p.host(name), 404))
	}
	w.tell("%d Ingresses of another class or none, the same in every byte", len(names))
}

// bytes of an Ingress as the API server has it.
func (p *place) bytes(name string) string {
	p.Helper()
	object, err := p.get(p.Context(), name)
	p.must(err)
	text, err := json.Marshal(object)
	p.must(err)
	return string(text)
}
