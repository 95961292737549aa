//go:build baddays

package baddays

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
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
func burst(clients []*http.Client, host string, ids []string) (map[string]time.Time, error) {
	var (
		mutex sync.Mutex
		group sync.WaitGroup
		first error
	)
	sent := map[string]time.Time{}
	for number, id := range ids {
		group.Go(func() {
			began := time.Now()
			err := post(clients[number%len(clients)], host, id)
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

func post(client *http.Client, host, id string) error {
	request, err := http.NewRequest(http.MethodPost, "http://"+host+"/", http.NoBody)
	if err != nil {
		return err
	}
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

// coldBursts: all are answered, and each reaches one pod once.
func coldBursts(w *world, port string, count, rounds int) {
	a := w.place().app("cold", wanted{port: port})
	var late []time.Duration
	var starts []time.Duration
	for round := range rounds {
		a.becomesCold()
		clients := []*http.Client{client(w.address, port == "h2c")}
		ids := idsOf(round, count)
		began := time.Now()
		sent, err := burst(clients, a.host, ids)
		if err != nil {
			w.Fatalf("round %d: %v", round, err)
		}
		starts = append(starts, time.Since(began))
		clients[0].CloseIdleConnections()
		late = append(late, w.once(a, ids, sent)...)
	}
	slices.Sort(late)
	slices.Sort(starts)
	w.tell("%d rounds of %d: all 200, each at one pod once", rounds, count)
	w.tell("answered after %.1f s in the median", starts[len(starts)/2].Seconds())
	w.tell("after a pod answered at all: p50 %.1f ms, p99 %.1f ms",
		float64(late[len(late)/2].Microseconds())/1000, float64(late[len(late)*99/100].Microseconds())/1000)
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
	sent, err := burst(clients, a.host, ids)
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
