package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func writeOne(t *testing.T, content string) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	err := Write(archive, Image{
		Name:       "local.dev/some/program:1",
		Entrypoint: []string{"/bin/program"},
		Files:      map[string]string{"/bin/program": source},
	})
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func entries(t *testing.T, content []byte) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	reader := tar.NewReader(bytes.NewReader(content))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	var contents [3][]byte
	for i, program := range []string{"one", "one", "other"} {
		content, err := os.ReadFile(writeOne(t, program))
		if err != nil {
			t.Fatal(err)
		}
		contents[i] = content
	}
	if !bytes.Equal(contents[0], contents[1]) {
		t.Error("two archives of the same files differ")
	}
	if bytes.Equal(contents[0], contents[2]) {
		t.Error("two archives of different files are the same")
	}
}

// Every reference leads to a blob of its digest and size, down to the program.
func TestTheArchiveHoldsTogether(t *testing.T) {
	content, err := os.ReadFile(writeOne(t, "the program"))
	if err != nil {
		t.Fatal(err)
	}
	archive := entries(t, content)
	blob := func(d Descriptor) []byte {
		found, ok := archive[d.path()]
		sum := sha256.Sum256(found)
		if !ok || int64(len(found)) != d.Size || "sha256:"+hex.EncodeToString(sum[:]) != d.Digest {
			t.Fatalf("%s %s of %d bytes leads to %d bytes", d.MediaType, d.Digest, d.Size, len(found))
		}
		return found
	}
	read := func(content []byte, into any) {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatal(err)
		}
	}
	var top Index
	read(archive["index.json"], &top)
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations[NameAnnotation] != "local.dev/some/program:1" {
		t.Fatalf("index %+v", top)
	}
	var one Manifest
	read(blob(top.Manifests[0]), &one)
	var how config
	read(blob(one.Config), &how)
	if how.Config.User != User || how.Config.Entrypoint[0] != "/bin/program" || how.RootFS.DiffIDs[0] != one.Layers[0].Digest {
		t.Errorf("config %+v", how)
	}
	var docker []dockerManifest
	read(archive["manifest.json"], &docker)
	if len(docker) != 1 || docker[0].RepoTags[0] != "local.dev/some/program:1" ||
		docker[0].Config != one.Config.path() || docker[0].Layers[0] != one.Layers[0].path() {
		t.Errorf("Docker's manifest %+v leads elsewhere", docker)
	}
	layer := entries(t, blob(one.Layers[0]))
	if string(layer["bin/program"]) != "the program" {
		t.Errorf("layer holds %q", layer["bin/program"])
	}
	for _, folder := range []string{"tmp/", "bin/"} {
		if _, ok := layer[folder]; !ok {
			t.Errorf("layer has no %s", folder)
		}
	}
}

func TestAMissingFileLeavesNoArchive(t *testing.T) {
	folder := t.TempDir()
	err := Write(filepath.Join(folder, "image.tar"), Image{Name: "a:b", Files: map[string]string{"/x": filepath.Join(folder, "nothing")}})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, expected that the file is missing", err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// Go's reader takes a tar without an end, other tools do not: two blocks of zeros.
func TestTheLayerEndsAsATarDoes(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("the program"), 0o600); err != nil {
		t.Fatal(err)
	}
	layer, err := layerOf(map[string]string{"/program": source})
	if err != nil {
		t.Fatal(err)
	}
	const block = 512
	if len(layer)%block != 0 || !bytes.HasSuffix(layer, make([]byte, 2*block)) {
		t.Errorf("%d bytes without an end", len(layer))
	}
}
