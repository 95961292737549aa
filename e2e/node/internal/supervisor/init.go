package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice/e2e/node/internal/layout"
)

// readyDescriptor is where the first process says "ready", or what went wrong.
const readyDescriptor = 3

// Main is the node's first process. It is started in namespaces of its own, makes
// them a node, and takes orders until it is killed.
func Main(folders layout.Folders, logs string) error {
	ready := os.NewFile(readyDescriptor, "ready")
	listener, err := prepare(folders, logs)
	if err != nil {
		fmt.Fprint(ready, err)
		return err
	}
	daemons := newDaemons(layout.NodeLogs)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	// As the first process of its namespace it gets no signal that it does not ask for.
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for range children {
			daemons.reap()
		}
	}()
	go serve(listener, daemons)

	fmt.Fprint(ready, "ready")
	if err := ready.Close(); err != nil {
		return err
	}
	<-ending
	return nil
}

func prepare(folders layout.Folders, logs string) (net.Listener, error) {
	if err := mountAll(folders, logs); err != nil {
		return nil, err
	}
	if err := unix.Sethostname([]byte(layout.NodeName)); err != nil {
		return nil, fmt.Errorf("host name: %w", err)
	}
	if err := makeNetwork(); err != nil {
		return nil, err
	}
	if err := os.Remove(folders.ControlSocket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", folders.ControlSocket())
}

// mountAll gives the node a /proc, /run, /var/lib and /var/log of its own.
func mountAll(folders layout.Folders, logs string) error {
	type mount struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}
	const apart = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	mounts := []mount{
		// First of all: nothing that is mounted from here on reaches the machine.
		{target: "/", flags: unix.MS_REC | unix.MS_PRIVATE},
		{source: "proc", target: "/proc", kind: "proc", flags: apart},
		{source: "tmpfs", target: "/run", kind: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV, data: "mode=755"},
		{source: folders.Data(), target: "/var/lib", flags: unix.MS_BIND},
		{source: logs, target: layout.NodeLogs, flags: unix.MS_BIND},
		// Volumes that a kubelet mounts are to be seen by containers already there.
		{target: "/", flags: unix.MS_REC | unix.MS_SHARED},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.source, m.target, err)
		}
	}
	return nil
}

// makeNetwork lays the node's one link. Both its ends are in the node: it is there
// to carry an address and the default route, by which a connection to a Service's
// address leaves towards kube-proxy's rules, and nothing of it leads outside.
func makeNetwork() error {
	commands := [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", "node", "type", "veth", "peer", "name", "outside"},
		{"ip", "address", "add", layout.NodeSubnet, "dev", "node"},
		{"ip", "link", "set", "node", "up"},
		{"ip", "link", "set", "outside", "up"},
		{"ip", "route", "add", "default", "dev", "node", "src", layout.NodeAddress},
	}
	for _, command := range commands {
		if said, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(said)))
		}
	}
	settings := map[string]string{
		"net/ipv4/ip_forward": "1",
		// Without it an answer between two pods on the bridge passes kube-proxy's rules by.
		"net/bridge/bridge-nf-call-iptables": "1",
	}
	for name, value := range settings {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("kernel setting %s: %w", name, err)
		}
	}
	return nil
}

func serve(listener net.Listener, daemons *daemons) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			var asked request
			var answered answer
			if err := json.NewDecoder(connection).Decode(&asked); err != nil {
				answered.Error = err.Error()
			} else {
				answered = obey(asked, daemons)
			}
			// Whoever asked and went away has no use for the answer.
			_ = json.NewEncoder(connection).Encode(answered)
		}()
	}
}

func obey(asked request, daemons *daemons) answer {
	var err error
	switch asked.Order {
	case orderStart:
		_, err = daemons.start(asked.Spec, asked.Stamp)
	case orderResume:
		err = daemons.resume(asked.Name)
	case orderStop:
		err = daemons.stop(asked.Name, asked.Grace)
	case orderList:
	default:
		err = fmt.Errorf("order %q is none of start, resume, stop, list", asked.Order)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{States: daemons.list()}
}
