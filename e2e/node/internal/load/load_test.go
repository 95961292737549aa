package load

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// serve answers with a status that the number of the request decides.
func serve(t *testing.T, status func(number int64) int) (address string, answered *atomic.Int64, enough chan struct{}) {
	const many = 50
	answered, enough = &atomic.Int64{}, make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		number := answered.Add(1)
		w.WriteHeader(status(number))
		if number == many {
			close(enough)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), answered, enough
}

func TestEveryRequestIsCounted(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		address, answered, enough := serve(t, func(int64) int { return http.StatusOK })
		load := Start(Options{Address: address, Hosts: []string{"a.test", "b.test"}, Rate: 500, Fresh: fresh})
		<-enough
		tally := load.Stop()
		if err := tally.Lost(); err != nil {
			t.Errorf("fresh %v: %v", fresh, err)
		}
		if int64(tally.Answered) != answered.Load() {
			t.Errorf("fresh %v: %d counted, the server answered %d", fresh, tally.Answered, answered.Load())
		}
	}
}

func TestOneThatIsLostIsSeen(t *testing.T) {
	address, _, enough := serve(t, func(number int64) int {
		if number == 7 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	load := Start(Options{Address: address, Hosts: []string{"a.test"}, Rate: 500})
	<-enough
	tally := load.Stop()
	if tally.Failed != 1 {
		t.Errorf("%d failed, expected the one that was lost on purpose", tally.Failed)
	}
	if err := tally.Lost(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("found %v, expected the status of the one that was lost", err)
	}
}

// A name leads elsewhere from one connection to the next, as when a Service of the
// cluster is another's name.
func TestEachConnectionGoesWhereItsNameLeadsThen(t *testing.T) {
	address, _, enough := serve(t, func(int64) int { return http.StatusOK })
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	server := nameServer(t, func() [4]byte {
		asked.Add(1)
		return [4]byte{127, 0, 0, 1}
	})
	load := Start(Options{Hosts: []string{"a.test:" + port}, DNS: server, Rate: 500, Fresh: true})
	<-enough
	if load.Answered() == 0 {
		t.Error("none is answered so far, but the server answered 50")
	}
	tally := load.Stop()
	if err := tally.Lost(); err != nil {
		t.Error(err)
	}
	// Connections that are opened at the same moment share one question.
	if asked.Load() < 2 {
		t.Errorf("the name was asked for %d times by %d connections", asked.Load(), tally.Answered)
	}
}

// nameServer says of every name that it leads to one address.
func nameServer(t *testing.T, leads func() [4]byte) string {
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		packet := make([]byte, 512)
		for {
			length, from, err := listener.ReadFrom(packet)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if err := message.Unpack(packet[:length]); err != nil {
				t.Error(err)
				return
			}
			question := message.Questions[0]
			message.Response, message.Additionals = true, nil
			if question.Type == dnsmessage.TypeA {
				message.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class},
					Body:   &dnsmessage.AResource{A: leads()},
				}}
			}
			answer, err := message.Pack()
			if err == nil {
				_, err = listener.WriteTo(answer, from)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	return listener.LocalAddr().String()
}

func TestAConnectionThatBreaksIsALoss(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Reads a request and hangs up: a client that sends twice would not tell.
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		for range 5 {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := connection.Read(make([]byte, 512)); err != nil {
				t.Error(err)
			}
			connection.Close()
		}
	}()
	load := Start(Options{Address: listener.Addr().String(), Hosts: []string{"a.test"}, Rate: 100})
	<-broken
	listener.Close()
	tally := load.Stop()
	if tally.Answered != 0 || tally.Failed != tally.Sent || tally.Failed < 5 {
		t.Errorf("%+v, expected all failed", tally)
	}
}

func TestTooSlowAClientIsNoProof(t *testing.T) {
	tally := Tally{Due: 200, Sent: 100, Answered: 100}
	if err := tally.Lost(); err == nil {
		t.Error("half of what was due proves nothing")
	}
	if sum := tally.Add(Tally{Due: 1, Sent: 1, Failed: 1}); sum.Sent != 101 || sum.Failed != 1 {
		t.Errorf("%+v", sum)
	}
}
