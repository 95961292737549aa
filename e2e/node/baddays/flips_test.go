//go:build baddays

package baddays

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/load"
)

// TestFlips moves a Service between activator and pods while requests flow.
func TestFlips(t *testing.T) {
	node := open(t)
	for _, run := range []struct {
		name string
		run  func(*world)
	}{
		{"20_flips_through_Serving", flipsThroughServing},
		{"500_flips_of_endpoints", flipsOfEndpoints},
		{"endpoints_emptied_20_times", emptiedEndpoints},
		{"activator_rolled_out", activatorRollout},
		{"10_pods_killed", podsKilled},
		{"4_pods_drained_at_once", drained},
	} {
		t.Run(run.name, func(t *testing.T) {
			w := node.on(t)
			began := time.Now()
			w.Cleanup(func() { w.row(run.name, began) })
			run.run(w)
		})
	}
}

// flipsThroughServing: the target burst capacity decides whether the activator stands
// in the path; Serving writes the public Service's Endpoints anew with each change.
func flipsThroughServing(w *world) {
	const autoscaler = "config-autoscaler"
	p := w.place()
	w.restore("knative-serving", autoscaler)
	a := p.app("steady", wanted{port: "http1", annotations: map[string]string{"autoscaling.knative.dev/min-scale": "1"}})
	// The revision's public Service has the revision's name.
	public := a.name + "-00001"
	load := w.flows(300, a.host)
	flips := 0
	for flip := range 20 {
		capacity, through := "0", "pod"
		if flip%2 == 1 {
			capacity, through = "-1", "activator"
		}
		w.must(w.set("knative-serving", autoscaler, map[string]*string{"target-burst-capacity": &capacity}))
		w.until("requests go through the "+through, func(ctx context.Context) error {
			endpoints, err := w.typed.CoreV1().Endpoints(p.namespace).Get(ctx, public, metav1.GetOptions{})
			if err != nil {
				return err
			}
			pods, err := a.pods(ctx)
			if err != nil {
				return err
			}
			own := map[string]bool{}
			for _, pod := range pods {
				own[pod.Status.PodIP] = true
			}
			for _, subset := range endpoints.Subsets {
				for _, address := range subset.Addresses {
					if own[address.IP] != (through == "pod") {
						return fmt.Errorf("endpoints lead to %s, expected the %s", address.IP, through)
					}
				}
			}
			if len(endpoints.Subsets) == 0 {
				return fmt.Errorf("Endpoints %s/%s are empty", p.namespace, public)
			}
			flips++
			return nil
		})
	}
	w.tell("%d flips", flips)
	load.lostNone()
}

// flipsOfEndpoints writes Endpoints as Serving does, between two pods that stand for
// activator and pod.
func flipsOfEndpoints(w *world) {
	const flips, lines = 500, 20
	p := w.place()
	// A Service leads to one of two pods of an image, by a port of this name.
	flipping := []struct{ name, port, image string }{
		{"public", "http", w.image}, {"socket", "http", testImage(w, "wsserver")}, {"grpc", "http2", testImage(w, "grpc-ping")},
	}
	pods := map[string][]string{}
	lead := func(flip int) {
		for _, service := range flipping {
			w.must(p.lead(w.Context(), service.name, service.port, pods[service.name][flip%2]))
		}
	}
	for _, service := range flipping {
		pods[service.name] = []string{p.pod(service.name+"-one", service.image), p.pod(service.name+"-two", service.image)}
		_, err := w.typed.CoreV1().Services(p.namespace).Create(w.Context(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: service.name, Labels: map[string]string{"networking.internal.knative.dev/serviceType": "Public"}},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: service.port, Port: 80, TargetPort: intstr.FromInt32(8080)}}},
		}, metav1.CreateOptions{})
		w.must(err)
	}
	lead(0)
	for _, service := range flipping {
		w.must(p.applyObject(w.Context(), p.object(ingress{
			name: service.name, class: layout.IngressClass, service: service.name, hosts: []string{p.host(service.name)},
		})))
		p.becomesReady(service.name)
	}
	w.until("endpoints are known", func(ctx context.Context) error { return w.everywhere(ctx, p.host("public"), 200) })
	open := []struct {
		what  string
		open  func(address, host string, count int, pace time.Duration) (*load.Lines, error)
		host  string
		lines *load.Lines
	}{
		{what: "WebSockets", open: load.OpenSockets, host: "socket"},
		{what: "gRPC calls that stay open", open: load.OpenCalls, host: "grpc"},
		{what: "gRPC clients that call anew", open: load.OpenUnaryCalls, host: "grpc"},
	}
	for n := range open {
		var err error
		open[n].lines, err = open[n].open(w.address, p.host(open[n].host), lines, 100*time.Millisecond)
		w.must(err)
	}
	flow := w.flows(300, p.host("public"))
	for flip := 1; flip <= flips; flip++ {
		lead(flip)
		w.pause(50 * time.Millisecond)
	}
	w.tell("%d flips", flips)
	flow.lostNone()
	for _, kind := range open {
		tally := kind.lines.Stop()
		if err := tally.Lost(); err != nil {
			w.Error(err)
		}
		w.tell("%d %s: %s", lines, kind.what, tally)
	}
}

// testImage is that of one of the suite's backends.
func testImage(w *world, name string) string {
	folders, err := layout.Find()
	w.must(err)
	image, err := folders.Backend(name)
	w.must(err)
	return image
}

// pod of this image; gives its address once it is ready.
func (p *place) pod(name, image string) string {
	p.Helper()
	grace := int64(1)
	_, err := p.typed.CoreV1().Pods(p.namespace).Create(p.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "backend", Image: image, Env: []corev1.EnvVar{{Name: "PORT", Value: "8080"}},
				ReadinessProbe: &corev1.Probe{
					PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}},
				},
			}},
		},
	}, metav1.CreateOptions{})
	p.must(err)
	address := ""
	p.until("pod "+name+" is ready", func(ctx context.Context) error {
		pod, err := p.typed.CoreV1().Pods(p.namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && !ready(*pod) {
			err = fmt.Errorf("it is %s", pod.Status.Phase)
		}
		if err == nil {
			address = pod.Status.PodIP
		}
		return err
	})
	return address
}

// lead a Service without a selector to one address, by its Endpoints.
func (p *place) lead(ctx context.Context, service, port, address string) error {
	endpoints := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: service, Namespace: p.namespace},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: address}},
			Ports:     []corev1.EndpointPort{{Name: port, Port: 8080}},
		}},
	}
	_, err := p.typed.CoreV1().Endpoints(p.namespace).Update(ctx, endpoints, metav1.UpdateOptions{})
	if err != nil {
		_, err = p.typed.CoreV1().Endpoints(p.namespace).Create(ctx, endpoints, metav1.CreateOptions{})
	}
	return err
}
