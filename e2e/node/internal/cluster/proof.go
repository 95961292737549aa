package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sluice/e2e/node/internal/layout"
)

// proofLabel marks the namespace of a proof. Each has one of its own, as a pod of
// Knative takes long to end, by its own wish, and the next proof need not wait for it.
const proofLabel = "sluice-node-proof"

// proofLimit is for each of its conditions.
const proofLimit = time.Minute

// Proof is what Prove has seen.
type Proof struct {
	// Name says which part of the node it speaks for.
	Name    string
	Outcome string
	Took    time.Duration
}

// Asked is what a proof is asked with.
type Asked struct {
	// Backend and Proxy are images.
	Backend, Proxy string
	// Knative is there, and is asked too.
	Knative bool
}

// Prove shows that the node works with no gateway: a pod behind its Service by
// address, NodePort and name, from the node and from another pod; a pod's log through
// the kubelet; Knative, where it is, making a Revision ready. Each outcome is told as it comes.
func (c *Cluster) Prove(ctx context.Context, asked Asked, tell func(Proof)) (err error) {
	// What an interrupted one left.
	if err := c.deleteProofs(ctx); err != nil {
		return err
	}
	made, err := c.typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: proofLabel + "-", Labels: map[string]string{proofLabel: ""},
	}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.deleteProofs(ctx)) }()
	p := prover{Cluster: c, namespace: made.Name}
	if err := p.apply(ctx, p.backend(asked.Backend)); err != nil {
		return err
	}

	type part struct {
		name string
		see  func(context.Context) (string, error)
	}
	proofs := []part{
		{"service", p.seeServices},
		{"dns", p.seeNames},
		// The proxy remembers a name that was not there for good, so it comes last.
		{"pod to pod by name", func(ctx context.Context) (string, error) {
			if err := p.apply(ctx, p.proxy(asked.Proxy)); err != nil {
				return "", err
			}
			return p.seeProxy(ctx)
		}},
		{"pod's log", p.seeLog},
	}
	if asked.Knative {
		if err := p.apply(ctx, p.configuration(asked.Backend)); err != nil {
			return err
		}
		proofs = append(proofs, part{"knative revision", p.seeRevision})
	}
	for _, proof := range proofs {
		began := time.Now()
		var outcome string
		err := Until(ctx, proofLimit, nil, func(ctx context.Context) (err error) {
			outcome, err = proof.see(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", proof.name, err)
		}
		tell(Proof{Name: proof.name, Outcome: outcome, Took: time.Since(began)})
	}
	return nil
}

// prover asks about one proof's own objects.
type prover struct {
	*Cluster
	namespace string
}

func (p prover) apply(ctx context.Context, text string) error {
	objects, err := readObjects(text)
	if err != nil {
		return err
	}
	return p.Apply(ctx, objects)
}

func (p prover) backendName() string {
	return "backend." + p.namespace + ".svc." + layout.ClusterSuffix
}

func (p prover) backend(image string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: backend, namespace: %[1]s, labels: {app: backend}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: backend
      image: %[2]s
      env: [{name: PORT, value: "8080"}]
      readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: %[1]s}
spec:
  type: NodePort
  selector: {app: backend}
  ports: [{port: 80, targetPort: 8080}]
`, p.namespace, image)
}

func (p prover) configuration(image string) string {
	return fmt.Sprintf(`
apiVersion: serving.knative.dev/v1
kind: Configuration
metadata: {name: hello, namespace: %[1]s}
spec:
  template:
    spec:
      timeoutSeconds: 10
      containers: [{image: %[2]s}]
`, p.namespace, image)
}

func (p prover) proxy(image string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: proxy, namespace: %[1]s, labels: {app: proxy}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: proxy
      image: %[2]s
      env:
        - {name: PORT, value: "8080"}
        - {name: TARGET_HOST, value: %[3]s}
---
apiVersion: v1
kind: Service
metadata: {name: proxy, namespace: %[1]s}
spec:
  selector: {app: proxy}
  ports: [{port: 80, targetPort: 8080}]
`, p.namespace, image, p.backendName())
}

// get asks for a page as a client with nothing cached would, and wants 200.
func get(ctx context.Context, address string) (string, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", request.URL, response.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

func (p prover) service(ctx context.Context, name string) (*corev1.Service, error) {
	return p.typed.CoreV1().Services(p.namespace).Get(ctx, name, metav1.GetOptions{})
}

func (p prover) seeServices(ctx context.Context) (string, error) {
	service, err := p.service(ctx, "backend")
	if err != nil {
		return "", err
	}
	port := strconv.Itoa(int(service.Spec.Ports[0].NodePort))
	for _, address := range []string{service.Spec.ClusterIP, net.JoinHostPort(layout.NodeAddress, port)} {
		if _, err := get(ctx, address); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("200 by %s and by port %s of the node", service.Spec.ClusterIP, port), nil
}

func (p prover) seeNames(ctx context.Context) (string, error) {
	service, err := p.service(ctx, "backend")
	if err != nil {
		return "", err
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, net.JoinHostPort(layout.DNSServiceAddress, "53"))
	}}
	names := map[string]string{
		"kubernetes.default.svc." + layout.ClusterSuffix + ".":            layout.APIServiceAddress,
		"kube-dns." + DNSNamespace + ".svc." + layout.ClusterSuffix + ".": layout.DNSServiceAddress,
		p.backendName() + ".": service.Spec.ClusterIP,
	}
	for name, address := range names {
		found, err := resolver.LookupHost(ctx, name)
		if err != nil {
			return "", err
		}
		if !slices.Equal(found, []string{address}) {
			return "", fmt.Errorf("%s is at %v, expected %s", name, found, address)
		}
	}
	return fmt.Sprintf("%d names found", len(names)), nil
}

func (p prover) seeProxy(ctx context.Context) (string, error) {
	service, err := p.service(ctx, "proxy")
	if err != nil {
		return "", err
	}
	_, err = get(ctx, service.Spec.ClusterIP)
	return "200 through two Services and a name", err
}

func (p prover) seeLog(ctx context.Context) (string, error) {
	log, err := p.typed.CoreV1().Pods(p.namespace).GetLogs("proxy", &corev1.PodLogOptions{}).DoRaw(ctx)
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(log), "HTTP proxy received a request") {
		return "", fmt.Errorf("the proxy's log of %d bytes does not tell of its request", len(log))
	}
	return fmt.Sprintf("%d bytes through the API server", len(log)), nil
}

func (p prover) seeRevision(ctx context.Context) (string, error) {
	configuration, err := p.any.
		Resource(schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "configurations"}).
		Namespace(p.namespace).Get(ctx, "hello", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	name, _, err := unstructured.NestedString(configuration.Object, "status", "latestReadyRevisionName")
	if err != nil {
		return "", err
	}
	return name + " ready", Condition(configuration, "Ready")
}

// deleteProofs asks for the namespaces of all proofs to go, and does not wait.
func (c *Cluster) deleteProofs(ctx context.Context) error {
	namespaces := c.typed.CoreV1().Namespaces()
	found, err := namespaces.List(ctx, metav1.ListOptions{LabelSelector: proofLabel})
	if err != nil {
		return err
	}
	for _, namespace := range found.Items {
		err := namespaces.Delete(ctx, namespace.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
