//go:build installs

package installs

import (
	"context"
	"fmt"

	"sluice/e2e/node/internal/load"
)

// flow of requests to some hosts, half by connections that stay, half each by a new one.
type flow struct {
	what        string
	hosts       int
	kept, fresh *load.Load
}

func start(what string, rate int, options load.Options) flow {
	options.Rate = rate / 2
	kept := load.Start(options)
	options.Fresh = true
	return flow{what: what, hosts: len(options.Hosts), kept: kept, fresh: load.Start(options)}
}

// toGateways starts what clients outside ask of one ingress, at a rate in requests a
// second.
func (w *world) toGateways(of ingress, rate int, hosts ...string) flow {
	w.Helper()
	address, err := w.address(w.Context(), of)
	w.must(err)
	return start("through "+of.word, rate, load.Options{Address: address, Hosts: hosts})
}

// byNames starts what clients inside the cluster ask, wherever the names lead just then.
func byNames(rate int, hosts ...string) flow {
	return start("inside", rate, load.Options{DNS: dns, Hosts: hosts})
}

func (f flow) parts() []*load.Load { return []*load.Load{f.kept, f.fresh} }

func (f flow) stop() load.Tally { return f.kept.Stop().Add(f.fresh.Stop()) }

// flowing waits until each host was answered some more times in every flow: what is done
// then is done under requests, and what was done has been asked for.
func (w *world) flowing(flows ...flow) {
	w.Helper()
	const rounds = 5
	enough := map[*load.Load]int{}
	for _, flow := range flows {
		for _, part := range flow.parts() {
			enough[part] = part.Answered() + rounds*flow.hosts
		}
	}
	for _, flow := range flows {
		for _, part := range flow.parts() {
			w.until("requests flow "+flow.what, func(context.Context) error {
				if answered := part.Answered(); answered < enough[part] {
					return fmt.Errorf("%d were answered, expected %d", answered, enough[part])
				}
				return nil
			})
		}
	}
}

// unhurt stops the flows, and gives what became of the requests of each: none may be lost.
func (w *world) unhurt(flows ...flow) string {
	w.Helper()
	var told string
	for i, flow := range flows {
		tally := flow.stop()
		if err := tally.Lost(); err != nil {
			w.Errorf("%s: %v", flow.what, err)
		}
		if i > 0 {
			told += "; "
		}
		told += fmt.Sprintf("%s %s", flow.what, tally)
	}
	return told
}
