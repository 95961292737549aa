package component

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/supervisor"
)

func write(t *testing.T, folders layout.Folders, audit bool) []supervisor.Spec {
	t.Helper()
	if err := os.MkdirAll(folders.Configuration(), 0o755); err != nil {
		t.Fatal(err)
	}
	daemons, err := Write(folders, Options{Kubernetes: "/programs", PauseImage: "local.dev/pause:1", Audit: audit})
	if err != nil {
		t.Fatal(err)
	}
	return append([]supervisor.Spec{daemons.Etcd, daemons.Containerd, daemons.APIServer}, daemons.Rest...)
}

func stamps(t *testing.T, specs []supervisor.Spec) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, spec := range specs {
		stamp, err := spec.Stamp()
		if err != nil {
			t.Fatal(err)
		}
		found[spec.Name] = stamp
	}
	return found
}

// Every daemon's files are there, and written once more they start nothing anew; to
// ask for an audit log starts the API server anew, and it only.
func TestWhatIsStartedAnew(t *testing.T) {
	folders := layout.Folders{Cache: t.TempDir()}
	first := stamps(t, write(t, folders, false))
	if len(first) != 7 {
		t.Errorf("%d daemons, expected 7", len(first))
	}
	written, err := filepath.Glob(filepath.Join(folders.Configuration(), "*.*"))
	if err != nil || len(written) == 0 {
		t.Fatalf("%v, %v", written, err)
	}
	long := time.Now().Add(-time.Hour).Round(time.Second)
	for _, path := range written {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	second := stamps(t, write(t, folders, false))
	for _, path := range written {
		if strings.HasSuffix(path, ".kubeconfig") {
			continue
		}
		if information, err := os.Stat(path); err != nil || !information.ModTime().Equal(long) {
			t.Errorf("%s was written anew, %v", path, err)
		}
	}
	audited := stamps(t, write(t, folders, true))
	for name, stamp := range first {
		if second[name] != stamp {
			t.Errorf("%s would be started anew with the same configuration", name)
		}
		if changed := audited[name] != stamp; changed != (name == "kube-apiserver") {
			t.Errorf("%s: started anew for an audit log: %v", name, changed)
		}
	}
}

func TestEachFileThatIsNamedIsThere(t *testing.T) {
	folders := layout.Folders{Cache: t.TempDir()}
	for _, spec := range write(t, folders, true) {
		for _, argument := range spec.Argv {
			_, value, _ := strings.Cut(argument, "=")
			if strings.HasPrefix(value, folders.Cache) {
				if _, err := os.Stat(value); err != nil {
					t.Errorf("%s: %s: %v", spec.Name, argument, err)
				}
			}
		}
		if path := spec.Argv[0]; !filepath.IsAbs(path) {
			t.Errorf("%s: %s is looked for on a PATH", spec.Name, path)
		}
	}
}

func TestKeysAreForRootOnly(t *testing.T) {
	folders := layout.Folders{Cache: t.TempDir()}
	write(t, folders, false)
	keys, err := filepath.Glob(filepath.Join(folders.Configuration(), "pki", "*.key"))
	if err != nil || len(keys) < 8 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	kubeconfigs, err := filepath.Glob(filepath.Join(folders.Configuration(), "*.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Concat(keys, kubeconfigs, []string{folders.Kubeconfig()}) {
		information, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if information.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, information.Mode())
		}
	}
}
