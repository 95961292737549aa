package supervisor

import (
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// supervise reaps as the first process does, and stops all at the end.
func supervise(t *testing.T) (*daemons, string) {
	t.Helper()
	logs := t.TempDir()
	daemons := newDaemons(logs)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-children:
				daemons.reap()
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() {
		for _, state := range daemons.list() {
			if err := daemons.stop(state.Name, 0); err != nil {
				t.Error(err)
			}
		}
		signal.Stop(children)
		close(done)
	})
	return daemons, logs
}

func shell(name, script string) Spec {
	return Spec{Name: name, Argv: []string{"/bin/sh", "-c", script}, Environment: []string{"WORD=said"}}
}

func start(t *testing.T, d *daemons, spec Spec) State {
	t.Helper()
	state, err := d.start(spec, "stamp")
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// await waits until a log holds a line, without which a signal would come too early.
func await(t *testing.T, path, line string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		content, err := os.ReadFile(path)
		if err == nil && slices.Contains(strings.Split(string(content), "\n"), line) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q does not come, there is %q (%v)", path, line, content, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (d *daemons) known(name string) *daemon {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.byName[name]
}

func TestHowADaemonEndedIsKept(t *testing.T) {
	daemons, logs := supervise(t)
	start(t, daemons, shell("short", "echo $WORD; exit 3"))
	<-daemons.known("short").ended
	if state := daemons.list()[0]; state.Running || state.Ended != "exit status 3" {
		t.Errorf("%+v", state)
	}
	await(t, filepath.Join(logs, "short.log"), "said")
}

func TestStopAsksFirstAndThenEnds(t *testing.T) {
	daemons, logs := supervise(t)
	start(t, daemons, shell("polite", `trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done`))
	start(t, daemons, shell("deaf", `trap '' TERM; echo up; while :; do sleep 0.01; done`))
	for name, want := range map[string]string{"polite": "exit status 0", "deaf": "signal: killed"} {
		await(t, filepath.Join(logs, name+".log"), "up")
		grace := 10 * time.Second
		if name == "deaf" {
			grace = 50 * time.Millisecond
		}
		if err := daemons.stop(name, grace); err != nil {
			t.Fatal(err)
		}
		if ended := daemons.known(name).state.Ended; ended != want {
			t.Errorf("%s: %s, expected %s", name, ended, want)
		}
	}
	if err := daemons.stop("deaf", 0); err != nil {
		t.Errorf("to stop what has ended is no act, but: %v", err)
	}
}

func TestOneThatRunsIsNotStartedTwice(t *testing.T) {
	daemons, _ := supervise(t)
	spec := shell("long", "exec sleep 600")
	first := start(t, daemons, spec)
	if second := start(t, daemons, spec); second.PID != first.PID {
		t.Errorf("started twice: %d, %d", first.PID, second.PID)
	}
	if _, err := daemons.start(spec, "another stamp"); err == nil {
		t.Error("started beside one of another stamp")
	}
	if err := daemons.stop("long", time.Second); err != nil {
		t.Fatal(err)
	}
	if err := daemons.resume("long"); err != nil {
		t.Fatal(err)
	}
	if state := daemons.known("long").state; !state.Running || state.PID == first.PID || state.Stamp != "stamp" {
		t.Errorf("resumed as %+v", state)
	}
	if err := daemons.resume("unheard"); err == nil || !strings.Contains(err.Error(), "there are long") {
		t.Errorf("%v, expected the names there are", err)
	}
}

// A process whose parent has ended falls to the first one, as a container's shim does.
func TestOrphansAreReaped(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	daemons, logs := supervise(t)
	start(t, daemons, shell("parent", "sleep 0.05 & echo $! >&2; exit 0"))
	<-daemons.known("parent").ended
	content, err := os.ReadFile(filepath.Join(logs, "parent.log"))
	if err != nil {
		t.Fatal(err)
	}
	orphan := filepath.Join("/proc", strings.TrimSpace(string(content)))
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, err := os.Stat(orphan); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", orphan)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	daemons, _ := supervise(t)
	_, err := daemons.start(Spec{Name: "none", Argv: []string{"/nowhere/none"}}, "stamp")
	if err == nil || !strings.Contains(err.Error(), "daemon none: /nowhere/none") {
		t.Errorf("%v, expected the daemon's and the program's name", err)
	}
}

func TestOrdersOverTheSocket(t *testing.T) {
	daemons, _ := supervise(t)
	socket := filepath.Join(t.TempDir(), "control.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go serve(listener, daemons)

	states, err := ask(socket, request{Order: orderStart, Spec: shell("long", "exec sleep 600"), Stamp: "s"})
	if err != nil || len(states) != 1 || !states[0].Running || states[0].Stamp != "s" {
		t.Fatalf("%+v, %v", states, err)
	}
	if _, err := ask(socket, request{Order: orderStop, Name: "long", Grace: time.Second}); err != nil {
		t.Fatal(err)
	}
	states, err = ask(socket, request{Order: orderList})
	if err != nil || len(states) != 1 || states[0].Ended != "signal: terminated" {
		t.Errorf("%+v, %v", states, err)
	}
	if _, err := ask(socket, request{Order: "dance"}); err == nil || !strings.Contains(err.Error(), "dance") {
		t.Errorf("%v, expected the order's name", err)
	}
}

func TestAStampChangesWithWhatIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "configuration")
	spec := shell("one", "true")
	spec.Files = []string{file}
	if _, err := spec.Stamp(); err == nil {
		t.Error("a stamp without the file it is of")
	}
	seen := map[string]bool{}
	for _, content := range []string{"a", "b", "a"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp, err := spec.Stamp()
		if err != nil {
			t.Fatal(err)
		}
		seen[stamp] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d stamps of two contents", len(seen))
	}
}
