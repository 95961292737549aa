package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/e2e/node/internal/layout"
)

// Node is a first process that runs.
type Node struct {
	folders layout.Folders
	// PID in the machine's PID namespace.
	PID int
	// Born is the start time that /proc gives, in clock ticks since boot: with the
	// pid it names a process for good.
	Born string
	// Logs is the folder of this start.
	Logs string
}

// Find gives the node that runs, or nil.
func Find(folders layout.Folders) (*Node, error) {
	content, err := os.ReadFile(folders.Init())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	node := &Node{folders: folders}
	if err := json.Unmarshal(content, node); err != nil {
		return nil, fmt.Errorf("%s: %w", folders.Init(), err)
	}
	born, err := bornAt(node.PID)
	if err != nil || born != node.Born {
		return nil, nil
	}
	return node, nil
}

// bornAt reads the start time of a process that is alive; a zombie is not.
func bornAt(pid int) (string, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", err
	}
	// The name in parentheses may hold blanks; the third field comes after it.
	text := string(content)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	const state, starttime = 0, 19
	if len(fields) <= starttime {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", os.ErrProcessDone
	}
	return fields[starttime], nil
}

// Start makes the namespaces and their first process: this program, called "init".
func Start(folders layout.Folders, logs string) (*Node, error) {
	for _, folder := range []string{folders.Data(), folders.Configuration(), logs} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(logs, "init.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()

	command := exec.Command(program, "init", logs)
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{theirs}
	command.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	err = command.Start()
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("namespaces of its own are refused: %w", err)
	}
	said, err := io.ReadAll(ready)
	if err != nil || string(said) != "ready" {
		// The pipe is closed, so it has ended or is about to.
		_ = command.Wait()
		return nil, fmt.Errorf("first process: %s (%s)", strings.TrimSpace(string(said)), log.Name())
	}
	node := &Node{folders: folders, PID: command.Process.Pid, Logs: logs}
	if node.Born, err = bornAt(node.PID); err != nil {
		return nil, err
	}
	content, err := json.Marshal(node)
	if err != nil {
		return nil, err
	}
	return node, os.WriteFile(folders.Init(), content, 0o644)
}

// Ensure starts a daemon, or starts it anew where it runs by another spec.
func (n *Node) Ensure(spec Spec, grace time.Duration) error {
	stamp, err := spec.Stamp()
	if err != nil {
		return err
	}
	states, err := n.List()
	if err != nil {
		return err
	}
	for _, state := range states {
		if state.Name == spec.Name && state.Running && state.Stamp != stamp {
			if err := n.Stop(spec.Name, grace); err != nil {
				return err
			}
		}
	}
	_, err = ask(n.folders.ControlSocket(), request{Order: orderStart, Spec: spec, Stamp: stamp})
	return err
}

// Resume starts a daemon that was stopped, as it was.
func (n *Node) Resume(name string) error {
	_, err := ask(n.folders.ControlSocket(), request{Order: orderResume, Name: name})
	return err
}

// Stop ends a daemon: SIGTERM, and SIGKILL after grace.
func (n *Node) Stop(name string, grace time.Duration) error {
	_, err := ask(n.folders.ControlSocket(), request{Order: orderStop, Name: name, Grace: grace})
	return err
}

// List tells of every daemon that was ever started.
func (n *Node) List() ([]State, error) {
	return ask(n.folders.ControlSocket(), request{Order: orderList})
}

// Ended is an error once a daemon no longer runs.
func (n *Node) Ended(name string) error {
	states, err := n.List()
	if err != nil {
		return err
	}
	for _, state := range states {
		if state.Name == name && !state.Running {
			return fmt.Errorf("%s has ended: %s; see %s", name, state.Ended, filepath.Join(n.Logs, name+".log"))
		}
	}
	return nil
}

// Command is a program run inside the node, in all its namespaces.
func (n *Node) Command(ctx context.Context, argv ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(n.PID), "--mount", "--net", "--pid", "--uts", "--ipc", "--"}
	return exec.CommandContext(ctx, "nsenter", append(enter, argv...)...)
}

// Exec turns this process into another program in the node's network, but with the
// machine's files. It returns only where that fails.
func (n *Node) Exec(argv, environment []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	namespace, err := os.Open(filepath.Join("/proc", strconv.Itoa(n.PID), "ns/net"))
	if err != nil {
		return err
	}
	defer namespace.Close()
	// The namespace is entered by this thread only, and it is the one that goes on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace of process %d: %w", n.PID, err)
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, argv, environment))
}

// Kill ends the first process, and returns once it and so everything in the node is gone.
func (n *Node) Kill() error {
	process, err := unix.PidfdOpen(n.PID, 0)
	if err != nil {
		return fmt.Errorf("first process %d: %w", n.PID, err)
	}
	defer unix.Close(process)
	// The pid may have passed to another process before it was opened.
	if born, err := bornAt(n.PID); err != nil || born != n.Born {
		return nil
	}
	if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("first process %d: %w", n.PID, err)
	}
	for {
		// The kernel ends the first process after all the others of its namespace.
		watched := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
		if _, err := unix.Poll(watched, -1); err != unix.EINTR {
			return err
		}
	}
}
