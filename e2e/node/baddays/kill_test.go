//go:build baddays

package baddays

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// processOf a pod: the one whose program has this name. Its pid is the machine's.
func processOf(pod corev1.Pod, program string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		// A process may end meanwhile.
		groups, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(groups), "pod"+string(pod.UID)) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil {
			continue
		}
		if filepath.Base(strings.SplitN(string(line), "\x00", 2)[0]) == program {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("pod %s has no process %s", pod.Name, program)
}

// signalled is one process of a pod.
func signalled(pod corev1.Pod, program string, signal syscall.Signal) error {
	pid, err := processOf(pod, program)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, signal)
}

// kill a pod as a power cut does: its process ends at once and does not come back in
// the same pod, which the kubelet would let wait longer and longer.
func (w *world) kill(ctx context.Context, pod corev1.Pod, program string) error {
	if err := signalled(pod, program, syscall.SIGKILL); err != nil {
		return err
	}
	now := int64(0)
	return w.typed.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
}
