package load

import (
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// pings answers so many messages of each call, then ends it.
func pings(t *testing.T, most int) (address string, answered chan struct{}) {
	t.Helper()
	answered = make(chan struct{}, 1000)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		for range most {
			message := new(wrapperspb.StringValue)
			if err := stream.RecvMsg(message); err != nil {
				return nil
			}
			if err := stream.SendMsg(message); err != nil {
				return err
			}
			answered <- struct{}{}
		}
		return nil
	}))
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String(), answered
}

func TestCallsThatEchoLoseNothing(t *testing.T) {
	for what, open := range map[string]func(string, string, int, time.Duration) (*Lines, error){
		"streams": OpenCalls, "unary": OpenUnaryCalls,
	} {
		t.Run(what, func(t *testing.T) {
			most := 1000
			if what == "unary" {
				most = 1
			}
			address, answered := pings(t, most)
			calls, err := open(address, "a.test", 3, time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			for range 30 {
				<-answered
			}
			tally := calls.Stop()
			if err := tally.Lost(); err != nil || tally.Answered < 30-3 {
				t.Errorf("%+v: %v", tally, err)
			}
		})
	}
}

func TestACallThatEndsIsALoss(t *testing.T) {
	address, answered := pings(t, 2)
	calls, err := OpenCalls(address, "a.test", 2, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		<-answered
	}
	calls.group.Wait()
	tally := calls.Stop()
	if err := tally.Lost(); err == nil || tally.Failed != 2 || !strings.Contains(err.Error(), "gRPC call") {
		t.Errorf("%+v: %v, expected that both are lost", tally, err)
	}
}
