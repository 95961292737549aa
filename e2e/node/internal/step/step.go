// Package step says what is being done and how long it took, a line per step.
//
// Reads: the clock, SLUICE_NODE_STARTED (set by an earlier part of one run).
// Gives: lines such as "  12.3s  etcd                healthy (0.8s)".
// Never: decides anything.
package step

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// StartedVariable carries the start over an exec, in nanoseconds of the Unix epoch.
const StartedVariable = "SLUICE_NODE_STARTED"

// Progress of one run of the program.
type Progress struct {
	started time.Time
	out     io.Writer
}

// Begin takes up the clock of this run.
func Begin(out io.Writer) *Progress {
	started := time.Now()
	if nanoseconds, err := strconv.ParseInt(os.Getenv(StartedVariable), 10, 64); err == nil {
		started = time.Unix(0, nanoseconds)
	}
	return &Progress{started: started, out: out}
}

// Environment is the variable by which a program executed next goes on counting.
func (p *Progress) Environment() string {
	return StartedVariable + "=" + strconv.FormatInt(p.started.UnixNano(), 10)
}

// Say prints one line with the time since the start.
func (p *Progress) Say(name, format string, arguments ...any) {
	fmt.Fprintf(p.out, "%7.1fs  %-20s %s\n", time.Since(p.started).Seconds(), name, fmt.Sprintf(format, arguments...))
}

// Do runs one step and prints its line when it is through; what it gives is the
// line's text. An error comes back with the step's name.
func (p *Progress) Do(name string, run func() (string, error)) error {
	began := time.Now()
	outcome, err := run()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.Say(name, "%s (%.1fs)", outcome, time.Since(began).Seconds())
	return nil
}
