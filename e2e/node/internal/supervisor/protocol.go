// Package supervisor is the node's first process: it makes the namespaces, then
// starts, stops and reaps the daemons. The kernel ends every process of a PID
// namespace with the first one, so to end it ends the whole node: no shim, no
// container, no mount and no network link can be left behind.
//
// Reads: orders on a Unix socket, one JSON request and one JSON answer each.
// Gives: daemons, each with a log; how each fares.
// Never: restarts a daemon by itself, so that a crash is seen and not smoothed over.
// Start: Main is that first process, Node is how the program outside speaks to it.
package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Spec is a daemon as it ought to run.
type Spec struct {
	Name string
	// Argv with an absolute program path first.
	Argv []string
	// Environment as NAME=value; the daemon sees nothing else.
	Environment []string
	// Files that the daemon reads once, at its start: it is started anew when one of them changes.
	Files []string
}

// Stamp is equal for two specs when a daemon of the one need not be started anew for the other.
func (s Spec) Stamp() (string, error) {
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(s); err != nil {
		return "", err
	}
	for _, path := range s.Files {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("daemon %s: %w", s.Name, err)
		}
		fmt.Fprintf(hash, "%d\n", len(content))
		hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// State of one daemon.
type State struct {
	Name  string
	Stamp string
	// PID in the node's PID namespace.
	PID     int
	Started time.Time
	Running bool
	// Ended says how, once it has: "exit status 1", "signal: killed".
	Ended string `json:",omitempty"`
}

type order string

const (
	orderStart  order = "start"
	orderResume order = "resume"
	orderStop   order = "stop"
	orderList   order = "list"
)

type request struct {
	Order order
	Spec  Spec   `json:",omitzero"`
	Stamp string `json:",omitempty"`
	Name  string `json:",omitempty"`
	// Grace between SIGTERM and SIGKILL.
	Grace time.Duration `json:",omitempty"`
}

type answer struct {
	States []State `json:",omitempty"`
	Error  string  `json:",omitempty"`
}

// ask sends one order and waits for its answer.
func ask(socket string, asked request) ([]State, error) {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if err := json.NewEncoder(connection).Encode(asked); err != nil {
		return nil, err
	}
	var answered answer
	if err := json.NewDecoder(connection).Decode(&answered); err != nil {
		return nil, fmt.Errorf("no answer to %s %s%s: %w", asked.Order, asked.Name, asked.Spec.Name, err)
	}
	if answered.Error != "" {
		return nil, errors.New(answered.Error)
	}
	return answered.States, nil
}
