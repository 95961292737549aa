// Package load sends requests at a rate that answers do not slow down, and counts
// what becomes of each.
//
// Reads: the clock; an address that speaks HTTP.
// Gives: sent = answered + failed. A request that could not even be connected failed.
// Never: sends a request twice.
package load

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// patience for one request: what is held longer counts as lost.
	patience = 30 * time.Second
	// shown is how many failures a tally names.
	shown = 8
)

// Options of one stream of requests.
type Options struct {
	// Address is where to connect, "198.18.0.1:31080". Left out, each connection goes to
	// where the name of its host leads, port 80.
	Address string
	// DNS is the server that is asked for such names, "198.19.0.10:53".
	DNS string
	// Hosts are asked for in turn.
	Hosts []string
	// Rate in requests a second.
	Rate int
	// Fresh has each request open a connection of its own.
	Fresh bool
}

// Tally is what became of the requests.
type Tally struct {
	// Due is what the rate asked for.
	Due, Sent, Answered, Failed int
	// Slowest of those that were answered.
	Slowest time.Duration
	// Failures are the first ones.
	Failures []string
}

// Add counts two streams as one.
func (t Tally) Add(other Tally) Tally {
	return Tally{
		Due: t.Due + other.Due, Sent: t.Sent + other.Sent,
		Answered: t.Answered + other.Answered, Failed: t.Failed + other.Failed,
		Slowest:  max(t.Slowest, other.Slowest),
		Failures: append(append([]string{}, t.Failures...), other.Failures...),
	}
}

// Lost is nil where every request was answered, and as many were sent as were due.
func (t Tally) Lost() error {
	switch {
	case t.Sent != t.Answered+t.Failed:
		return fmt.Errorf("%d sent, but %d answered and %d failed", t.Sent, t.Answered, t.Failed)
	case t.Sent*100 < t.Due*99:
		return fmt.Errorf("%d sent of %d that were due: this machine is too slow to say", t.Sent, t.Due)
	case t.Failed > 0:
		return fmt.Errorf("%d of %d lost: %q", t.Failed, t.Sent, t.Failures)
	}
	return nil
}

func (t Tally) String() string {
	return fmt.Sprintf("%d lost of %d, slowest %d ms", t.Failed, t.Sent, t.Slowest.Milliseconds())
}

// Resolver asks one server, and remembers no answer.
func Resolver(server string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
}

// Load is a stream of requests that flows until it is stopped.
type Load struct {
	options Options
	client  *http.Client
	stop    context.CancelFunc
	ended   chan struct{}
	mutex   sync.Mutex
	tally   Tally
}

// Start sends until Stop.
func Start(options Options) *Load {
	dialer := &net.Dialer{Timeout: patience, Resolver: Resolver(options.DNS)}
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{
		options: options,
		client: &http.Client{Timeout: patience, Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, named string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, cmp.Or(options.Address, named))
			},
			DisableKeepAlives:   options.Fresh,
			MaxIdleConnsPerHost: 100,
			IdleConnTimeout:     time.Minute,
		}},
		stop: stop, ended: make(chan struct{}),
	}
	go l.flow(ctx)
	return l
}

// Answered is how many requests were answered so far.
func (l *Load) Answered() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.tally.Answered
}

// Stop sends no more, waits for what is under way, and tells.
func (l *Load) Stop() Tally {
	l.stop()
	<-l.ended
	l.client.CloseIdleConnections()
	return l.tally
}

func (l *Load) flow(ctx context.Context) {
	defer close(l.ended)
	began := time.Now()
	interval := time.Second / time.Duration(l.options.Rate)
	var under sync.WaitGroup
	defer under.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for number := 0; ; number++ {
		// By the clock, not by the one before: who is late catches up.
		timer.Reset(time.Until(began.Add(time.Duration(number) * interval)))
		select {
		case <-ctx.Done():
			l.mutex.Lock()
			l.tally.Due = int(time.Since(began) / interval)
			l.tally.Sent = number
			l.mutex.Unlock()
			return
		case <-timer.C:
		}
		host := l.options.Hosts[number%len(l.options.Hosts)]
		under.Go(func() { l.count(began, host) })
	}
}

func (l *Load) count(began time.Time, host string) {
	sent := time.Now()
	err := l.send(host)
	took := time.Since(sent)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err == nil {
		l.tally.Answered++
		l.tally.Slowest = max(l.tally.Slowest, took)
		return
	}
	l.tally.Failed++
	if len(l.tally.Failures) < shown {
		l.tally.Failures = append(l.tally.Failures,
			fmt.Sprintf("at %.2f s after %.2f s: %s: %s", sent.Sub(began).Seconds(), took.Seconds(), host, err))
	}
}

func (l *Load) send(host string) error {
	// Not a method that Go's client sends again where a connection breaks.
	request, err := http.NewRequest(http.MethodPost, "http://"+host+"/", http.NoBody)
	if err != nil {
		return err
	}
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.200s", response.Status, body)
	}
	return nil
}
