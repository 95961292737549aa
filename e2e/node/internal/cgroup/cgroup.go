// Package cgroup makes and removes the one cgroup below which all pods of the node are.
//
// Reads: /proc/self/mountinfo.
// Gives: a cgroup of a name, in every hierarchy of the machine, version 1 or 2.
// Never: moves a process.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type hierarchy struct {
	path string
	// unified is version 2.
	unified bool
	// options of the mount; in version 1 they name the controllers.
	options []string
}

func hierarchies() ([]hierarchy, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	found := parse(string(content))
	if len(found) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted; containers need one at /sys/fs/cgroup")
	}
	return found, nil
}

// parse finds the hierarchies in a table of mounts, each once.
func parse(mountinfo string) []hierarchy {
	var found []hierarchy
	for _, line := range strings.Split(strings.TrimSpace(mountinfo), "\n") {
		// 36 35 98:0 /root /mount options [optional…] - kind source superoptions
		before, after, ok := strings.Cut(line, " - ")
		if !ok {
			continue
		}
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 3 || (right[0] != "cgroup" && right[0] != "cgroup2") {
			continue
		}
		if slices.ContainsFunc(found, func(known hierarchy) bool { return known.path == left[4] }) {
			continue
		}
		found = append(found, hierarchy{path: left[4], unified: right[0] == "cgroup2", options: strings.Split(right[2], ",")})
	}
	return found
}

// Ensure makes the cgroup in every hierarchy.
func Ensure(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.unified {
			if err := delegate(h.path); err != nil {
				return err
			}
		}
		own := filepath.Join(h.path, name)
		if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if slices.Contains(h.options, "cpuset") {
			// In version 1 a new cpuset is empty, and no process can join it.
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				content, err := os.ReadFile(filepath.Join(h.path, file))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(own, file), content, 0o644); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// delegate lets the cgroups below a version 2 root have every controller it has.
func delegate(root string) error {
	content, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(content)) {
		if slices.Contains(strings.Fields(string(enabled)), controller) {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("controller %s of %s: %w", controller, root, err)
		}
	}
	return nil
}

// Remove takes the cgroup and all below it away again. No process may be left in it.
func Remove(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		var folders []string
		err := filepath.WalkDir(filepath.Join(h.path, name), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, folder := range slices.Backward(folders) {
			if err := removeIdle(folder); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeIdle removes one cgroup. The kernel may count a process that has ended as
// its member for a moment more, and says busy.
func removeIdle(folder string) error {
	const interval, limit = 20 * time.Millisecond, 10 * time.Second
	deadline := time.Now().Add(limit)
	for {
		// An os.Remove tries unlink first, and tells of that failure.
		err := syscall.Rmdir(folder)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline):
			return fmt.Errorf("cgroup %s: %w", folder, err)
		}
		time.Sleep(interval)
	}
}
