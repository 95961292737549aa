package load

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// pings of Knative's test backends: one message with one string comes, one with the
// same string goes.
const (
	unaryPing  = "/ping.PingService/Ping"
	streamPing = "/ping.PingService/PingStream"
)

// dialCalls to a host at an address, in plain HTTP/2. What fails is not tried again.
func dialCalls(address, host string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+host,
		grpc.WithAuthority(host),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}),
	)
}

// OpenCalls opens as many bidirectional gRPC calls to a host at an address, all on one
// connection.
func OpenCalls(address, host string, count int, pace time.Duration) (*Lines, error) {
	connection, err := dialCalls(address, host)
	if err != nil {
		return nil, err
	}
	return openLines("gRPC call", count, pace, func(ctx context.Context) (line, error) {
		ctx, cancel := context.WithCancel(ctx)
		stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamPing)
		return call{stream: stream, cancel: cancel}, err
	})
}

type call struct {
	stream grpc.ClientStream
	cancel context.CancelFunc
}

func (c call) exchange(message string) error {
	// The whole call ends with the patience for one of its messages.
	alarm := time.AfterFunc(patience, c.cancel)
	defer alarm.Stop()
	if err := c.stream.SendMsg(wrapperspb.String(message)); err != nil {
		return err
	}
	answer := new(wrapperspb.StringValue)
	if err := c.stream.RecvMsg(answer); err != nil {
		return err
	}
	return echoed(message, answer.GetValue())
}

func (c call) Close() error {
	c.cancel()
	return nil
}

// OpenUnaryCalls has as many clients call again and again, on one connection: each call
// is a message of its line.
func OpenUnaryCalls(address, host string, count int, pace time.Duration) (*Lines, error) {
	connection, err := dialCalls(address, host)
	if err != nil {
		return nil, err
	}
	return openLines("gRPC client", count, pace, func(context.Context) (line, error) {
		return caller{connection}, nil
	})
}

type caller struct{ connection *grpc.ClientConn }

func (c caller) exchange(message string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer := new(wrapperspb.StringValue)
	if err := c.connection.Invoke(ctx, unaryPing, wrapperspb.String(message), answer); err != nil {
		return err
	}
	return echoed(message, answer.GetValue())
}

func (caller) Close() error { return nil }
