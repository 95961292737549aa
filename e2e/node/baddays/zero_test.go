//go:build baddays

package baddays

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/e2e/node/internal/cluster"
)

// TestFromZero sends requests to Knative Services that have no pod.
func TestFromZero(t *testing.T) {
	node := open(t)
	for _, run := range []struct {
		name string
		run  func(*world)
	}{
		{"100_at_once_50_times_http1", func(w *world) { coldBursts(w, "http1", 100, 50) }},
		{"100_at_once_50_times_h2c", func(w *world) { coldBursts(w, "h2c", 100, 50) }},
		{"10000_held_at_once", heldAtOnce},
	} {
		t.Run(run.name, func(t *testing.T) {
			w := node.on(t)
			began := time.Now()
			w.Cleanup(func() { w.row(run.name, began) })
			run.run(w)
		})
	}
}

// client whose connections lead to the gateways; each of its requests on h2c is a
// stream of the same few connections.
func client(address string, h2c bool) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 200,
	}
	if h2c {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{Timeout: 2 * time.Minute, Transport: transport}
}

// burst sends requests with these ids at once, none of them twice, and gives when each
// was sent.
func burst(clients []*http.Client, host string, header http.Header, ids []string) (map[string]time.Time, error) {
	var (
		mutex sync.Mutex
		group sync.WaitGroup
		first error
	)
	sent := map[string]time.Time{}
	for number, id := range ids {
		group.Go(func() {
			began := time.Now()
			err := post(clients[number%len(clients)], host, header, id)
			mutex.Lock()
			defer mutex.Unlock()
			sent[id] = began
			if err != nil && first == nil {
				first = fmt.Errorf("request %s after %.1f s: %w", id, time.Since(began).Seconds(), err)
			}
		})
	}
	group.Wait()
	return sent, first
}

func post(client *http.Client, host string, header http.Header, id string) error {
	request, err := http.NewRequest(http.MethodPost, "http://"+host+"/", http.NoBody)
	if err != nil {
		return err
	}
	maps.Copy(request.Header, header)
	request.Header.Set("X-Id", id)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.400s", response.Status, body)
	}
	return nil
}

func idsOf(round, count int) []string {
	ids := make([]string, count)
	for n := range ids {
		ids[n] = fmt.Sprintf("%d-%d", round, n)
	}
	return ids
}

// way to a revision that has no pod.
type way struct {
	// address to connect to, and what to say there beside the host.
	address string
	header  http.Header
	late    []time.Duration
	took    []time.Duration
}

func (y *way) String() string {
	slices.Sort(y.late)
	slices.Sort(y.took)
	return fmt.Sprintf("%d rounds, answered after %.2f s in the median; after a pod could be reached p50 %.1f ms, p99 %.1f ms",
		len(y.took), y.took[len(y.took)/2].Seconds(),
		milliseconds(y.late[len(y.late)/2]), milliseconds(y.late[len(y.late)*99/100]))
}

func milliseconds(length time.Duration) float64 { return float64(length.Microseconds()) / 1000 }

// coldBursts: all are answered, and each reaches one pod once. Some rounds go to the
// activator itself, as a gateway would, so that what a gateway adds can be told.
func coldBursts(w *world, port string, count, rounds int) {
	const autoscaler, directEvery = "config-autoscaler", 5
	w.restore(serving, autoscaler)
	// The shortest that Serving takes.
	grace := "6s"
	w.must(w.set(serving, autoscaler, map[string]*string{"scale-to-zero-grace-period": &grace}))
	// And the shortest window, so that a round is cold again as soon as can be.
	window := map[string]string{"autoscaling.knative.dev/window": "6s"}
	a := w.place().app("cold", wanted{port: port, annotations: window})
	through := &way{address: w.address}
	direct := &way{address: w.activator(port), header: http.Header{
		"Knative-Serving-Revision": {a.name + "-00001"}, "Knative-Serving-Namespace": {a.namespace},
	}}
	for round := range rounds + rounds/directEvery {
		way := through
		if round%(directEvery+1) == directEvery {
			way = direct
		}
		a.becomesCold()
		client := client(way.address, port == "h2c")
		ids := idsOf(round, count)
		began := time.Now()
		sent, err := burst([]*http.Client{client}, a.host, way.header, ids)
		if err != nil {
			w.Fatalf("round %d: %v", round, err)
		}
		way.took = append(way.took, time.Since(began))
		client.CloseIdleConnections()
		way.late = append(way.late, w.once(a, ids, sent)...)
	}
	w.tell("each of %d answered 200, and at one pod once: %s", count, through)
	w.tell("to the activator without a gateway: %s", direct)
}

// activator's address for backends that speak so.
func (w *world) activator(port string) string {
	w.Helper()
	pods, err := w.typed.CoreV1().Pods(serving).List(w.Context(), metav1.ListOptions{LabelSelector: "app=" + cluster.Activator})
	w.must(err)
	if len(pods.Items) == 0 {
		w.Fatal("no activator runs")
	}
	number := map[string]string{"http1": "8012", "h2c": "8013"}[port]
	return net.JoinHostPort(pods.Items[0].Status.PodIP, number)
}

// once fails where a request reached no pod, or pods more than once; gives for each how
// long after it was sent, and its pod had answered anyone, it arrived.
func (w *world) once(a *app, ids []string, sent map[string]time.Time) []time.Duration {
	w.Helper()
	arrivals, err := a.arrivals(w.Context())
	w.must(err)
	var late []time.Duration
	for _, id := range ids {
		count := 0
		for _, seen := range arrivals {
			arrived, here := seen[id]
			if !here {
				continue
			}
			count += arrived.Count
			from := max(sent[id].UnixNano(), firstOf(seen, ids))
			late = append(late, time.Duration(arrived.First-from))
		}
		if count != 1 {
			w.Errorf("request %s reached pods %d times, expected once", id, count)
		}
	}
	return late
}

// firstOf is when a pod got the first of these requests.
func firstOf(seen map[string]arrival, ids []string) int64 {
	first := int64(0)
	for _, id := range ids {
		if found, here := seen[id]; here && (first == 0 || found.First < first) {
			first = found.First
		}
	}
	return first
}

// heldAtOnce: as many as the activator holds for one revision, on as few connections as
// their streams fit in.
func heldAtOnce(w *world) {
	const count, each = 10_000, 1000
	a := w.place().app("crowd", wanted{
		port: "h2c", after: 10 * time.Second,
		// The autoscaler answers such a crowd with more pods than a small node has.
		annotations: map[string]string{"autoscaling.knative.dev/max-scale": "1"},
	})
	a.becomesCold()
	clients := make([]*http.Client, count/each)
	for n := range clients {
		clients[n] = client(w.address, true)
	}
	ids := idsOf(0, count)
	began := time.Now()
	sent, err := burst(clients, a.host, nil, ids)
	w.must(err)
	var last time.Time
	for _, at := range sent {
		if at.After(last) {
			last = at
		}
	}
	w.tell("%d sent within %.1f s, all 200 after %.1f s", count, last.Sub(began).Seconds(), time.Since(began).Seconds())
	w.once(a, ids, sent)
}
