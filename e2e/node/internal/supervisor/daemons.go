package supervisor

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// daemons are the processes that were asked for, by name.
type daemons struct {
	// Held while a process is started: a child that ends at once is reaped only
	// after it is known.
	mutex  sync.Mutex
	byName map[string]*daemon
	logs   string
}

type daemon struct {
	spec  Spec
	state State
	ended chan struct{}
}

func newDaemons(logs string) *daemons {
	return &daemons{byName: map[string]*daemon{}, logs: logs}
}

func (d *daemons) list() []State {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	states := make([]State, 0, len(d.byName))
	for _, name := range slices.Sorted(maps.Keys(d.byName)) {
		states = append(states, d.byName[name].state)
	}
	return states
}

// start is no act where the daemon runs already; one that runs by another stamp is
// to be stopped first.
func (d *daemons) start(spec Spec, stamp string) (State, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if known, ok := d.byName[spec.Name]; ok && known.state.Running {
		if known.state.Stamp != stamp {
			return State{}, fmt.Errorf("daemon %s runs already, by another configuration; stop it first", spec.Name)
		}
		return known.state, nil
	}
	log, err := os.OpenFile(filepath.Join(d.logs, spec.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return State{}, err
	}
	defer log.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return State{}, err
	}
	defer nothing.Close()

	pid, err := syscall.ForkExec(spec.Argv[0], spec.Argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   spec.Environment,
		Files: []uintptr{nothing.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return State{}, fmt.Errorf("daemon %s: %s: %w", spec.Name, spec.Argv[0], err)
	}
	started := &daemon{
		spec:  spec,
		state: State{Name: spec.Name, Stamp: stamp, PID: pid, Started: time.Now(), Running: true},
		ended: make(chan struct{}),
	}
	d.byName[spec.Name] = started
	return started.state, nil
}

// resume starts a daemon once more as it was last started.
func (d *daemons) resume(name string) error {
	d.mutex.Lock()
	known, ok := d.byName[name]
	names := slices.Sorted(maps.Keys(d.byName))
	d.mutex.Unlock()
	if !ok {
		return fmt.Errorf("daemon %s was never started; there are %s", name, strings.Join(names, ", "))
	}
	_, err := d.start(known.spec, known.state.Stamp)
	return err
}

// stop asks a daemon to end, and ends it after grace.
func (d *daemons) stop(name string, grace time.Duration) error {
	d.mutex.Lock()
	known, ok := d.byName[name]
	if !ok || !known.state.Running {
		d.mutex.Unlock()
		return nil
	}
	pid := known.state.PID
	// A pid stays its process's own until it is reaped, which takes the mutex.
	err := syscall.Kill(pid, syscall.SIGTERM)
	d.mutex.Unlock()
	if err != nil {
		return fmt.Errorf("daemon %s: %w", name, err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-known.ended:
		return nil
	case <-timer.C:
	}
	d.mutex.Lock()
	if known.state.Running {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	d.mutex.Unlock()
	if err != nil {
		return fmt.Errorf("daemon %s: %w", name, err)
	}
	<-known.ended
	return nil
}

// reap takes every child that has ended: daemons, and the orphans that any process
// of the node leaves to its first one.
func (d *daemons) reap() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, known := range d.byName {
			if known.state.PID == pid && known.state.Running {
				known.state.Running = false
				known.state.Ended = describe(status)
				close(known.ended)
			}
		}
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
