//go:build installs

package installs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRefusals: each is a sentence that names the thing, and an exit code, and nothing
// in the cluster is touched. The node reaches no network, so none of them needs one.
func TestRefusals(t *testing.T) {
	w := open(t)
	// Whoever may read all that is there, and write nothing.
	const reader = "reader@example.com"
	w.kubectl("create", "clusterrolebinding", reader, "--clusterrole=view", "--user="+reader)
	t.Cleanup(func() {
		w.must(w.typed.RbacV1().ClusterRoleBindings().Delete(context.Background(), reader, metav1.DeleteOptions{}))
	})
	before, err := w.take(t.Context())
	w.must(err)
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	w.must(os.WriteFile(nowhere, []byte(`
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: 'https://127.0.0.1:9'}}]
users: [{name: nobody, user: {}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
`), 0o600))
	for _, run := range []struct {
		name      string
		exit      int
		words     []string
		arguments []string
	}{
		{"wrong context", unreachable, []string{`"elsewhere"`, "it has"}, w.install("--context", "elsewhere")},
		{"no cluster", unreachable, []string{"127.0.0.1:9"}, w.install("--kubeconfig", nowhere)},
		{"no permission to read", problems, []string{"nobody@example.com", "cannot get", "sluice-inventory", "ask whoever"}, w.install("--as", "nobody@example.com")},
		{"no permission to write", problems, []string{reader + " may not create", "ask whoever"}, w.install("--as", reader)},
		{"no version", usage, []string{"no.9.9", "1.23.0"}, []string{"install", "knative", "--knative-version", "no.9.9"}},
		{"version that is not to be had", problems, []string{"9.9.9", "--bundle"}, []string{"install", "knative", "--knative-version", "9.9.9"}},
		{"tampered bundle", problems, []string{"serving-core.yaml", "sha256"}, w.installFrom("--bundle", w.tampered())},
		{"no bundle", problems, []string{"/nowhere.tar.gz"}, w.installFrom("--bundle", "/nowhere.tar.gz")},
		{"nothing to uninstall", problems, []string{"sluice-inventory"}, []string{"uninstall", "--yes"}},
	} {
		t.Run(run.name, func(t *testing.T) {
			w := w.on(t)
			result := w.wants(run.exit, run.words, run.arguments...)
			w.row("exit %d after %.1f s", result.exit, result.took.Seconds())
			w.untouched(before)
		})
	}
}

// TestAnother: a Sluice that came in another way keeps its rights.
func TestAnother(t *testing.T) {
	w := open(t)
	const name = "sluice-operator"
	w.kubectl("create", "clusterrolebinding", name, "--clusterrole=view", "--serviceaccount=elsewhere:"+name)
	t.Cleanup(func() {
		w.must(w.typed.RbacV1().ClusterRoleBindings().Delete(context.Background(), name, metav1.DeleteOptions{}))
	})
	before, err := w.take(t.Context())
	w.must(err)
	w.wants(problems, []string{"ClusterRoleBinding " + name, "namespace elsewhere"}, w.install()...)
	w.untouched(before)
	w.row("named, and not touched")
}

// tampered is the bundle with one byte changed in a manifest.
func (w *world) tampered() string {
	w.Helper()
	packed, err := os.ReadFile(w.bundle)
	w.must(err)
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	w.must(err)
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive, copied := tar.NewReader(unzipped), tar.NewWriter(zipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		w.must(err)
		text, err := io.ReadAll(archive)
		w.must(err)
		if filepath.Base(header.Name) == "serving-core.yaml" {
			text = bytes.Replace(text, []byte("kind: Namespace"), []byte("kind: Namespacf"), 1)
		}
		w.must(copied.WriteHeader(header))
		_, err = copied.Write(text)
		w.must(err)
	}
	w.must(errors.Join(copied.Close(), zipped.Close()))
	path := filepath.Join(w.TempDir(), "tampered.tar.gz")
	w.must(os.WriteFile(path, out.Bytes(), 0o600))
	return path
}
