//go:build baddays

package baddays

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/load"
)

// place is a namespace with a backend behind the Service "backend", port 80.
type place struct {
	*world
	namespace string
}

// place of its own for a day.
func (w *world) place() *place {
	w.Helper()
	made, err := w.typed.CoreV1().Namespaces().Create(w.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bad-day-"},
	}, metav1.CreateOptions{})
	w.must(err)
	p := &place{world: w, namespace: made.Name}
	w.afterwards("namespace "+made.Name, func(ctx context.Context) error {
		// Ingresses first, and waited for: the next day begins without them.
		err := w.any.Resource(ingresses).Namespace(p.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		return errors.Join(err, w.typed.CoreV1().Namespaces().Delete(ctx, p.namespace, metav1.DeleteOptions{}))
	})
	w.until("pods may be made in namespace "+p.namespace, func(ctx context.Context) error {
		_, err := w.typed.CoreV1().ServiceAccounts(p.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	labels := map[string]string{"app": "backend"}
	grace := int64(1)
	_, err = w.typed.CoreV1().Pods(p.namespace).Create(w.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "backend", Labels: labels},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "backend", Image: w.image,
				Env: []corev1.EnvVar{{Name: "PORT", Value: "8080"}},
				ReadinessProbe: &corev1.Probe{
					PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}},
				},
			}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	w.must(p.serve("backend", 80))
	w.until("the backend is ready", func(ctx context.Context) error {
		pod, err := w.typed.CoreV1().Pods(p.namespace).Get(ctx, "backend", metav1.GetOptions{})
		if err == nil && !ready(*pod) {
			err = fmt.Errorf("it is %s", pod.Status.Phase)
		}
		return err
	})
	return p
}

// serve makes a Service of the backend, with this port.
func (p *place) serve(name string, port int32) error {
	_, err := p.typed.CoreV1().Services(p.namespace).Create(p.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "backend"},
			Ports:    []corev1.ServicePort{{Port: port, TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	return err
}

func (p *place) host(name string) string { return name + "." + p.namespace + ".example.com" }

// ingress that leads hosts to the backend.
type ingress struct {
	name  string
	class string
	// service and port are those of the backend, where they are not said.
	service string
	port    int64
	hosts   []string
}

func (p *place) object(i ingress) *unstructured.Unstructured {
	if i.port == 0 {
		i.port = 80
	}
	if i.service == "" {
		i.service = "backend"
	}
	hosts := make([]any, len(i.hosts))
	for n, host := range i.hosts {
		hosts[n] = host
	}
	annotations := map[string]any{}
	if i.class != "" {
		annotations["networking.knative.dev/ingress.class"] = i.class
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": ingresses.GroupVersion().String(),
		"kind":       "Ingress",
		"metadata":   map[string]any{"name": i.name, "namespace": p.namespace, "annotations": annotations},
		"spec": map[string]any{
			"httpOption": "Enabled",
			"rules": []any{map[string]any{
				"hosts":      hosts,
				"visibility": "ExternalIP",
				"http": map[string]any{"paths": []any{map[string]any{
					"splits": []any{map[string]any{
						"serviceName": i.service, "serviceNamespace": p.namespace, "servicePort": i.port, "percent": int64(100),
					}},
				}}},
			}},
		},
	}}
}

// apply makes or changes an Ingress of Sluice's class.
func (p *place) apply(ctx context.Context, name string, hosts ...string) error {
	return p.applyObject(ctx, p.object(ingress{name: name, class: layout.IngressClass, hosts: hosts}))
}

func (p *place) applyObject(ctx context.Context, object *unstructured.Unstructured) error {
	_, err := p.any.Resource(ingresses).Namespace(p.namespace).Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "bad-days", Force: true})
	return err
}

func (p *place) get(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	return p.any.Resource(ingresses).Namespace(p.namespace).Get(ctx, name, metav1.GetOptions{})
}

// state is what an Ingress says of itself.
type state struct {
	status, reason, message string
	current                 bool
}

func (p *place) state(ctx context.Context, name string) (state, error) {
	object, err := p.get(ctx, name)
	if err != nil {
		return state{}, err
	}
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	found := state{current: observed == object.GetGeneration()}
	for _, entry := range conditions {
		fields, _ := entry.(map[string]any)
		if fields["type"] == "Ready" {
			found.status, _ = fields["status"].(string)
			found.reason, _ = fields["reason"].(string)
			found.message, _ = fields["message"].(string)
		}
	}
	return found, nil
}

// isReady is nil once this generation is.
func (p *place) isReady(ctx context.Context, name string) error {
	found, err := p.state(ctx, name)
	if err != nil {
		return err
	}
	if !found.current || found.status != "True" {
		return fmt.Errorf("Ingress %s: %+v", name, found)
	}
	return nil
}

// becomesReady waits for an Ingress.
func (p *place) becomesReady(name string) time.Duration {
	p.Helper()
	return p.until("Ingress "+name+" becomes ready", func(ctx context.Context) error { return p.isReady(ctx, name) })
}

// served makes an Ingress and waits for it.
func (p *place) served(name string, hosts ...string) time.Duration {
	p.Helper()
	p.must(p.apply(p.Context(), name, hosts...))
	return p.becomesReady(name)
}

// ask for a host over a connection of its own.
func ask(ctx context.Context, address, host string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	response.Body.Close()
	return response.StatusCode, nil
}

// everywhere is nil where every gateway answers with this status.
func (w *world) everywhere(ctx context.Context, host string, status int) error {
	pods, err := w.pods(ctx, gateway)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		found, err := ask(ctx, pod.Status.PodIP+":8080", host)
		if err == nil && found != status {
			err = fmt.Errorf("status %d, expected %d", found, status)
		}
		if err != nil {
			return fmt.Errorf("gateway %s, host %s: %w", pod.Name, host, err)
		}
	}
	if len(pods) == 0 {
		return errors.New("no gateway")
	}
	return nil
}

// flow is requests over connections that are kept and over fresh ones.
type flow struct {
	*world
	loads []*load.Load
}

// flows at a rate, half of it over connections that are kept.
func (w *world) flows(rate int, hosts ...string) *flow {
	return w.flowsTo(w.address, rate, hosts...)
}

func (w *world) flowsTo(address string, rate int, hosts ...string) *flow {
	f := &flow{world: w}
	for _, fresh := range []bool{false, true} {
		f.loads = append(f.loads, load.Start(load.Options{Address: address, Hosts: hosts, Rate: rate / 2, Fresh: fresh}))
	}
	return f
}

// lostNone ends the requests; one that was lost fails the day.
func (f *flow) lostNone() {
	f.Helper()
	f.lostAtMost(0)
}

// lostAtMost ends the requests; more that were lost fail the day.
func (f *flow) lostAtMost(most int) {
	f.Helper()
	var sum load.Tally
	for _, one := range f.loads {
		sum = sum.Add(one.Stop())
	}
	f.loads = nil
	if err := sum.Lost(); err != nil && (sum.Failed == 0 || sum.Failed > most) {
		f.Error(err)
	}
	f.tell("%s", sum)
}

// lines of a log that tell of a fault in the operator itself.
func faults(log string) []string {
	var found []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "panicked") || strings.Contains(line, "broke off") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
