package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/e2e/node/internal/layout"
)

// checkMachine says in one line why no node can be here, if so.
func checkMachine(folders layout.Folders) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("a node takes Linux, this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("a node takes root, to make namespaces and mounts")
	}
	for _, program := range []string{"/usr/bin/containerd", "/usr/bin/ctr", "/usr/sbin/runc", layout.CNIPlugins + "/bridge"} {
		if _, err := os.Stat(program); err != nil {
			return fmt.Errorf("%s is missing; hack/install-node-packages installs Debian's", program)
		}
	}
	for _, program := range []string{"ip", "iptables", "conntrack", "nsenter", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is missing; hack/install-node-packages installs Debian's", program)
		}
	}
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("go is not on PATH; it builds Kubernetes and Knative")
	}
	filesystems, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if !strings.Contains(string(filesystems), "\toverlay\n") {
		if err := loadModule("overlay"); err != nil {
			return err
		}
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(folders.Cache, &disk); err != nil {
		return fmt.Errorf("%s: %w", folders.Cache, err)
	}
	if disk.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Errorf("%s lies on an overlay, and those of containers cannot be laid on it; set XDG_CACHE_HOME to a disk", folders.Cache)
	}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		if err := loadModule("br_netfilter"); err != nil {
			return err
		}
	}
	return nil
}

func loadModule(name string) error {
	if said, err := exec.Command("modprobe", name).CombinedOutput(); err != nil {
		return fmt.Errorf("the kernel has no %s, and modprobe cannot load it: %w: %s", name, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// keptLogs is how many starts' logs are kept.
const keptLogs = 10

// takeLock waits for whoever changes the node now.
func takeLock(folders layout.Folders) (*os.File, error) {
	if err := os.MkdirAll(folders.Cache, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(folders.Lock(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(os.Stderr, "waiting for another run that holds %s\n", lock.Name())
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s: %w", folders.Lock(), err)
	}
	return lock, nil
}

// keepLock takes over the lock that the first half of `up` left open, and hides it
// from the programs this one starts.
func keepLock() error {
	var descriptor int
	if _, err := fmt.Sscan(os.Getenv(lockVariable), &descriptor); err != nil {
		return errors.New("--inside is for up itself")
	}
	_, err := unix.FcntlInt(uintptr(descriptor), unix.F_SETFD, unix.FD_CLOEXEC)
	return err
}

// newLogs makes the folder of this start and removes the oldest ones.
func newLogs(folders layout.Folders) (string, error) {
	logs := filepath.Join(folders.Logs(), time.Now().UTC().Format("20060102T150405.000"))
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return "", err
	}
	latest := folders.LatestLogs()
	if err := os.Remove(latest); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(filepath.Base(logs), latest); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(folders.Logs())
	if err != nil {
		return "", err
	}
	var starts []string
	for _, entry := range entries {
		if entry.IsDir() {
			starts = append(starts, entry.Name())
		}
	}
	// Their names sort by time.
	slices.Sort(starts)
	for _, old := range starts[:max(0, len(starts)-keptLogs)] {
		if err := os.RemoveAll(filepath.Join(folders.Logs(), old)); err != nil {
			return "", err
		}
	}
	return logs, nil
}
