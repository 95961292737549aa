// Package image writes container images as OCI archives, without a registry or a
// container tool: a Go program and an empty /tmp in one layer.
//
// Reads: the files that go in.
// Gives: an archive that containerd and Docker take under the image's name.
// Never: a byte that depends on the clock: the same files make the same archive.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"sort"
	"strings"
)

// User of every image's process: Knative's deployments demand one that is not root.
const User = "65532:65532"

// ProgramFolder is where ko (github.com/ko-build/ko, pkg/build) puts an image's program.
const ProgramFolder = "/ko-app"

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
	// NameAnnotation is by which containerd names the image it imports.
	NameAnnotation = "io.containerd.image.name"
)

// Image to be written.
type Image struct {
	// Name with registry and tag: "local.dev/serving/queue:5e1f…".
	Name string
	// Entrypoint inside the image.
	Entrypoint []string
	// Files by their absolute path inside the image; the value is the path of the source.
	Files map[string]string
}

// Descriptor of a part, by its digest.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Manifest of one image.
type Manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        Descriptor   `json:"config"`
	Layers        []Descriptor `json:"layers"`
}

// Index of an archive.
type Index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []Descriptor `json:"manifests"`
}

// dockerManifest is how `docker load` of any version finds the same blobs; the API's
// names (github.com/moby/moby, image/tarexport).
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

type settings struct {
	User       string   `json:"User"`
	Entrypoint []string `json:"Entrypoint"`
	Env        []string `json:"Env"`
	WorkingDir string   `json:"WorkingDir"`
}

type config struct {
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	Config       settings `json:"config"`
	RootFS       rootFS   `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Write makes the archive at a path, whole or not at all.
func Write(to string, image Image) error {
	layer, err := layerOf(image.Files)
	if err != nil {
		return err
	}
	blobs := map[string][]byte{}
	keep := func(mediaType string, content []byte) Descriptor {
		digest := sha256.Sum256(content)
		encoded := hex.EncodeToString(digest[:])
		blobs[encoded] = content
		return Descriptor{MediaType: mediaType, Digest: "sha256:" + encoded, Size: int64(len(content))}
	}
	keepJSON := func(mediaType string, value any) (Descriptor, error) {
		content, err := json.Marshal(value)
		return keep(mediaType, content), err
	}

	layerDescriptor := keep(typeLayer, layer)
	configDescriptor, err := keepJSON(typeConfig, config{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Config: settings{
			User:       User,
			Entrypoint: image.Entrypoint,
			Env:        []string{"PATH=" + ProgramFolder, "HOME=/tmp"},
			WorkingDir: "/",
		},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{layerDescriptor.Digest}},
	})
	if err != nil {
		return err
	}
	manifestDescriptor, err := keepJSON(typeManifest, Manifest{
		SchemaVersion: 2,
		MediaType:     typeManifest,
		Config:        configDescriptor,
		Layers:        []Descriptor{layerDescriptor},
	})
	if err != nil {
		return err
	}
	manifestDescriptor.Annotations = map[string]string{NameAnnotation: image.Name}
	top, err := json.Marshal(Index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []Descriptor{manifestDescriptor}})
	if err != nil {
		return err
	}

	forDocker, err := json.Marshal([]dockerManifest{{
		Config:   configDescriptor.path(),
		RepoTags: []string{image.Name},
		Layers:   []string{layerDescriptor.path()},
	}})
	if err != nil {
		return err
	}

	partial := to + ".partial"
	file, err := os.Create(partial)
	if err != nil {
		return err
	}
	defer os.Remove(partial)
	defer file.Close()
	if err := writeArchive(file, top, forDocker, blobs); err != nil {
		return fmt.Errorf("%s: %w", partial, err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(partial, to)
}

// path of a blob in the archive.
func (d Descriptor) path() string { return "blobs/" + strings.Replace(d.Digest, ":", "/", 1) }

func writeArchive(out io.Writer, top, forDocker []byte, blobs map[string][]byte) error {
	archive := tar.NewWriter(out)
	entries := map[string][]byte{
		"index.json":    top,
		"manifest.json": forDocker,
		"oci-layout":    []byte(`{"imageLayoutVersion":"1.0.0"}`),
	}
	for digest, content := range blobs {
		entries["blobs/sha256/"+digest] = content
	}
	for _, name := range sortedKeys(entries) {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(entries[name]))}); err != nil {
			return err
		}
		if _, err := archive.Write(entries[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}

// layerOf is a tar of the files, of the folders above them, and of /tmp.
func layerOf(files map[string]string) ([]byte, error) {
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	if err := archive.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
		return nil, err
	}
	made := map[string]bool{"/": true, "/tmp": true}
	for _, name := range sortedKeys(files) {
		var above []string
		for folder := path.Dir(name); !made[folder]; folder = path.Dir(folder) {
			made[folder] = true
			above = append([]string{folder}, above...)
		}
		for _, folder := range above {
			if err := archive.WriteHeader(&tar.Header{Name: folder[1:] + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
				return nil, err
			}
		}
		source, err := os.ReadFile(files[name])
		if err != nil {
			return nil, err
		}
		if err := archive.WriteHeader(&tar.Header{Name: name[1:], Mode: 0o755, Size: int64(len(source))}); err != nil {
			return nil, err
		}
		if _, err := archive.Write(source); err != nil {
			return nil, err
		}
	}
	// What ends a tar is written by closing it, so the bytes are taken after that.
	err := archive.Close()
	return content.Bytes(), err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
