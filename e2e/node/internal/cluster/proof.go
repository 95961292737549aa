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
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sluice/e2e/node/internal/layout"
)

// proofNamespace is made for the proof, and removed after it.
const proofNamespace = "sluice-node-proof"

// proofLimit is for each of its conditions.
const proofLimit = time.Minute

// Proof is what Prove has seen.
type Proof struct {
	// Name says which part of the node it speaks for.
	Name    string
	Outcome string
	Took    time.Duration
}

// Prove shows that the node works with no gateway: a pod behind its Service by
// address, NodePort and name, from the node and from another pod; a pod's log through
// the kubelet; Knative making a Revision ready. Each outcome is told as it comes.
func (c *Cluster) Prove(ctx context.Context, backend, proxy string, tell func(Proof)) (err error) {
	if err := c.remove(ctx, proofNamespace); err != nil {
		return err
	}
	objects, err := readObjects(proofObjects(backend, proxy))
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, objects); err != nil {
		return err
	}
	// A pod of Knative takes long to end, by its own wish: that is not waited for.
	defer func() { err = errors.Join(err, c.delete(ctx, proofNamespace)) }()

	proofs := []struct {
		name string
		see  func(context.Context) (string, error)
	}{
		{"service", c.seeServices},
		{"dns", seeNames},
		{"pod to pod by name", c.seeProxy},
		{"pod's log", c.seeLog},
		{"knative revision", c.seeRevision},
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

func proofObjects(backend, proxy string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
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
---
apiVersion: v1
kind: Pod
metadata: {name: proxy, namespace: %[1]s, labels: {app: proxy}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: proxy
      image: %[3]s
      env:
        - {name: PORT, value: "8080"}
        - {name: TARGET_HOST, value: backend.%[1]s.svc.%[4]s}
---
apiVersion: v1
kind: Service
metadata: {name: proxy, namespace: %[1]s}
spec:
  selector: {app: proxy}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: serving.knative.dev/v1
kind: Configuration
metadata: {name: hello, namespace: %[1]s}
spec:
  template:
    spec:
      timeoutSeconds: 10
      containers: [{image: %[2]s}]
`, proofNamespace, backend, proxy, layout.ClusterSuffix)
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

func (c *Cluster) service(ctx context.Context, name string) (*corev1.Service, error) {
	return c.typed.CoreV1().Services(proofNamespace).Get(ctx, name, metav1.GetOptions{})
}

func (c *Cluster) seeServices(ctx context.Context) (string, error) {
	service, err := c.service(ctx, "backend")
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

func seeNames(ctx context.Context) (string, error) {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, net.JoinHostPort(layout.DNSServiceAddress, "53"))
	}}
	names := map[string]string{
		"kubernetes.default.svc." + layout.ClusterSuffix + ".":            layout.APIServiceAddress,
		"kube-dns." + DNSNamespace + ".svc." + layout.ClusterSuffix + ".": layout.DNSServiceAddress,
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

func (c *Cluster) seeProxy(ctx context.Context) (string, error) {
	service, err := c.service(ctx, "proxy")
	if err != nil {
		return "", err
	}
	_, err = get(ctx, service.Spec.ClusterIP)
	return "200 through two Services and a name", err
}

func (c *Cluster) seeLog(ctx context.Context) (string, error) {
	log, err := c.typed.CoreV1().Pods(proofNamespace).GetLogs("proxy", &corev1.PodLogOptions{}).DoRaw(ctx)
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(log), "HTTP proxy received a request") {
		return "", fmt.Errorf("the proxy's log of %d bytes does not tell of its request", len(log))
	}
	return fmt.Sprintf("%d bytes through the API server", len(log)), nil
}

func (c *Cluster) seeRevision(ctx context.Context) (string, error) {
	configuration, err := c.any.
		Resource(schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "configurations"}).
		Namespace(proofNamespace).Get(ctx, "hello", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return "ready", condition(configuration, "Ready")
}

// delete asks for a namespace to go; one that is not there is gone.
func (c *Cluster) delete(ctx context.Context, namespace string) error {
	err := c.typed.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// remove deletes a namespace and waits until all that was in it is gone.
func (c *Cluster) remove(ctx context.Context, namespace string) error {
	if err := c.delete(ctx, namespace); err != nil {
		return err
	}
	return Until(ctx, proofLimit, nil, func(ctx context.Context) error {
		_, err := c.typed.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return fmt.Errorf("namespace %s is still being deleted", namespace)
	})
}
