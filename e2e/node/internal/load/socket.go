package load

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// OpenSockets opens as many WebSockets to a host at an address.
func OpenSockets(address, host string, count int, pace time.Duration) (*Lines, error) {
	dialer := websocket.Dialer{
		HandshakeTimeout: patience,
		NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	return openLines("WebSocket", count, pace, func(ctx context.Context) (line, error) {
		opened, response, err := dialer.DialContext(ctx, "ws://"+host+"/", nil)
		if err != nil && response != nil {
			err = fmt.Errorf("%s: %w", response.Status, err)
		}
		return socket{opened}, err
	})
}

type socket struct{ *websocket.Conn }

func (s socket) exchange(message string) error {
	if err := s.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		return err
	}
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, answer, err := s.ReadMessage()
	if err != nil {
		return err
	}
	return echoed(message, string(answer))
}
