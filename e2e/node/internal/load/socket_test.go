package load

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// echoes so many messages on each socket, then hangs up.
func echoes(t *testing.T, most int) (address string, echoed chan struct{}) {
	t.Helper()
	echoed = make(chan struct{}, 1000)
	var upgrader websocket.Upgrader
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.Close()
		for range most {
			kind, message, err := socket.ReadMessage()
			if err != nil {
				return
			}
			if err := socket.WriteMessage(kind, message); err != nil {
				return
			}
			echoed <- struct{}{}
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), echoed
}

func TestSocketsThatEchoLoseNothing(t *testing.T) {
	address, echoed := echoes(t, 1000)
	sockets, err := OpenSockets(address, "a.test", 3, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		<-echoed
	}
	tally := sockets.Stop()
	if err := tally.Lost(); err != nil || tally.Answered < 30-3 {
		t.Errorf("%+v: %v", tally, err)
	}
}

func TestASocketThatBreaksIsALoss(t *testing.T) {
	address, echoed := echoes(t, 2)
	sockets, err := OpenSockets(address, "a.test", 2, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		<-echoed
	}
	sockets.group.Wait()
	tally := sockets.Stop()
	if err := tally.Lost(); err == nil || tally.Failed != 2 || !strings.Contains(err.Error(), "WebSocket") {
		t.Errorf("%+v: %v, expected that both are lost", tally, err)
	}
}
