package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Lines each send at a pace and expect an echo, until they are stopped. None is opened
// anew: one that breaks is a loss.
type Lines struct {
	// what they are, as failures name them.
	what  string
	stop  context.CancelFunc
	group sync.WaitGroup
	mutex sync.Mutex
	tally Tally
}

// line is one of them.
type line interface {
	// exchange is nil once the echo of a message is there.
	exchange(message string) error
	Close() error
}

// openLines opens as many; the context ends with them.
func openLines(what string, count int, pace time.Duration, open func(context.Context) (line, error)) (*Lines, error) {
	ctx, stop := context.WithCancel(context.Background())
	l := &Lines{what: what, stop: stop}
	for number := range count {
		// What is in its exchange when all are stopped ends that first.
		opened, err := open(context.WithoutCancel(ctx))
		if err != nil {
			l.Stop()
			return nil, fmt.Errorf("%s %d: %w", what, number, err)
		}
		l.group.Go(func() {
			defer opened.Close()
			l.echo(ctx, opened, number, pace)
		})
	}
	return l, nil
}

// Stop closes them and tells of each message.
func (l *Lines) Stop() Tally {
	l.stop()
	l.group.Wait()
	return l.tally
}

// Answered is how many echoes came so far.
func (l *Lines) Answered() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.tally.Answered
}

func (l *Lines) echo(ctx context.Context, opened line, number int, pace time.Duration) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for count := 0; ; count++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		err := opened.exchange(fmt.Sprintf("%d of line %d", count, number))
		took := time.Since(began)
		l.mutex.Lock()
		l.tally.Due++
		l.tally.Sent++
		if err == nil {
			l.tally.Answered++
			l.tally.Slowest = max(l.tally.Slowest, took)
		} else {
			l.tally.Failed++
			l.tally.Failures = append(l.tally.Failures, fmt.Sprintf("%s %d, message %d: %v", l.what, number, count, err))
		}
		l.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

func echoed(message, answer string) error {
	if answer != message {
		return fmt.Errorf("found %q, expected an echo of %q", answer, message)
	}
	return nil
}
