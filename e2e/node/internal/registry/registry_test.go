package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/e2e/node/internal/image"
)

// serve gives the address of a registry of one image, whose program is "content".
func serve(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	if err := os.WriteFile(program, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(folder, "image.tar")
	if err := image.Write(archive, image.Image{
		Name: "registry.local:5000/tests/program:1", Entrypoint: []string{"/program"},
		Files: map[string]string{"/program": program},
	}); err != nil {
		t.Fatal(err)
	}
	registry, err := Open([]string{archive})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	return server.URL
}

func ask(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// Everything that a manifest names is there, under the digest of what is given.
func TestAnImageIsPulledByItsTag(t *testing.T) {
	url := serve(t)
	head, _ := ask(t, http.MethodHead, url+"/v2/tests/program/manifests/1")
	digest := head.Header.Get("Docker-Content-Digest")
	if head.StatusCode != http.StatusOK || !strings.HasPrefix(digest, "sha256:") || head.ContentLength <= 0 {
		t.Fatalf("%s, digest %q, %d bytes", head.Status, digest, head.ContentLength)
	}
	for _, reference := range []string{"1", digest} {
		response, body := ask(t, http.MethodGet, url+"/v2/tests/program/manifests/"+reference)
		sum := sha256.Sum256([]byte(body))
		if response.StatusCode != http.StatusOK || "sha256:"+hex.EncodeToString(sum[:]) != digest {
			t.Errorf("%s: %s, not the bytes of %s: %s", reference, response.Status, digest, body)
		}
		if kind := response.Header.Get("Content-Type"); kind != "application/vnd.oci.image.manifest.v1+json" {
			t.Errorf("%s: content type %s", reference, kind)
		}
	}
	_, body := ask(t, http.MethodGet, url+"/v2/tests/program/manifests/1")
	var manifest image.Manifest
	if err := json.Unmarshal([]byte(body), &manifest); err != nil {
		t.Fatal(err)
	}
	for _, part := range append(manifest.Layers, manifest.Config) {
		_, body := ask(t, http.MethodGet, url+"/v2/tests/program/blobs/"+part.Digest)
		sum := sha256.Sum256([]byte(body))
		if "sha256:"+hex.EncodeToString(sum[:]) != part.Digest || int64(len(body)) != part.Size {
			t.Errorf("%s: %d bytes of another digest, expected %d", part.Digest, len(body), part.Size)
		}
	}
}

func TestWhatIsNotThereIsRefusedByItsCode(t *testing.T) {
	url := serve(t)
	for _, refused := range []struct {
		method, path, code string
		status             int
	}{
		{http.MethodGet, "/v2/tests/program/manifests/2", "MANIFEST_UNKNOWN", http.StatusNotFound},
		{http.MethodGet, "/v2/tests/other/manifests/1", "MANIFEST_UNKNOWN", http.StatusNotFound},
		{http.MethodGet, "/v2/tests/program/blobs/sha256:00", "BLOB_UNKNOWN", http.StatusNotFound},
		{http.MethodPost, "/v2/tests/program/blobs/uploads/", "UNSUPPORTED", http.StatusMethodNotAllowed},
	} {
		response, body := ask(t, refused.method, url+refused.path)
		if response.StatusCode != refused.status || !strings.Contains(body, refused.code) {
			t.Errorf("%s %s: %s %s, expected %d with %s", refused.method, refused.path, response.Status, body, refused.status, refused.code)
		}
	}
}

func TestAnotherKindOfArchiveIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(path, make([]byte, 1024), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open([]string{path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, expected an error that names the archive", err)
	}
}
