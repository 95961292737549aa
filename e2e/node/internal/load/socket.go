package load

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Sockets are WebSockets that each send at a pace and expect an echo, until they are
// stopped. None is opened anew: one that breaks is a loss.
type Sockets struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	mutex sync.Mutex
	tally Tally
}

// OpenSockets opens as many to a host at an address.
func OpenSockets(address, host string, count int, pace time.Duration) (*Sockets, error) {
	ctx, stop := context.WithCancel(context.Background())
	s := &Sockets{stop: stop}
	dialer := websocket.Dialer{
		HandshakeTimeout: patience,
		NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	for number := range count {
		socket, response, err := dialer.DialContext(ctx, "ws://"+host+"/", nil)
		if err != nil {
			stop()
			if response != nil {
				err = fmt.Errorf("%s: %w", response.Status, err)
			}
			return nil, fmt.Errorf("WebSocket %d to %s: %w", number, host, err)
		}
		s.group.Go(func() {
			defer socket.Close()
			s.echo(ctx, socket, number, pace)
		})
	}
	return s, nil
}

// Stop closes them and tells of each message.
func (s *Sockets) Stop() Tally {
	s.stop()
	s.group.Wait()
	return s.tally
}

func (s *Sockets) echo(ctx context.Context, socket *websocket.Conn, number int, pace time.Duration) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for count := 0; ; count++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		err := exchange(socket, fmt.Sprintf("%d of socket %d", count, number))
		took := time.Since(began)
		s.mutex.Lock()
		s.tally.Due++
		s.tally.Sent++
		if err == nil {
			s.tally.Answered++
			s.tally.Slowest = max(s.tally.Slowest, took)
		} else {
			s.tally.Failed++
			s.tally.Failures = append(s.tally.Failures, fmt.Sprintf("WebSocket %d, message %d: %v", number, count, err))
		}
		s.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

func exchange(socket *websocket.Conn, message string) error {
	if err := socket.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		return err
	}
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, answer, err := socket.ReadMessage()
	if err == nil && string(answer) != message {
		err = fmt.Errorf("found %q, expected an echo of %q", answer, message)
	}
	return err
}
