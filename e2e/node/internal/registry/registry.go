// Package registry is a registry of images to pull from, made of OCI archives: Knative
// asks one for the digest of each tag, and what is not there has to fail as it does
// anywhere else.
//
// Reads: the archives, each time a part of one is asked for.
// Gives: the pulling half of the distribution protocol, over plain HTTP.
// Never: takes an image, or keeps one in memory.
package registry

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"

	"sluice/e2e/node/internal/image"
)

// part of an archive.
type part struct {
	archive   string
	mediaType string
	from      int64
	size      int64
}

// Registry of images.
type Registry struct {
	// manifests by repository and tag, "serving/helloworld:5e1f": their digest.
	tags map[string]string
	// parts by digest, blobs and manifests alike.
	parts map[string]part
}

// Open reads what is in the archives.
func Open(archives []string) (*Registry, error) {
	registry := &Registry{tags: map[string]string{}, parts: map[string]part{}}
	for _, archive := range archives {
		if err := registry.add(archive); err != nil {
			return nil, fmt.Errorf("%s: %w", archive, err)
		}
	}
	return registry, nil
}

func (r *Registry) add(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var index image.Index
	archive := tar.NewReader(file)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if header.Name == "index.json" {
			if err := json.NewDecoder(archive).Decode(&index); err != nil {
				return fmt.Errorf("index.json: %w", err)
			}
		}
		if digest, ok := strings.CutPrefix(header.Name, "blobs/sha256/"); ok {
			// The reader of a tar reads no further than what it has given.
			from, err := file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			r.parts["sha256:"+digest] = part{archive: path, mediaType: "application/octet-stream", from: from, size: header.Size}
		}
	}
	if len(index.Manifests) == 0 {
		return errors.New("its index.json names no manifest; expected an OCI archive")
	}
	for _, manifest := range index.Manifests {
		found, ok := r.parts[manifest.Digest]
		if !ok {
			return fmt.Errorf("manifest %s is named and not there", manifest.Digest)
		}
		found.mediaType = manifest.MediaType
		r.parts[manifest.Digest] = found
		_, name, ok := strings.Cut(manifest.Annotations[image.NameAnnotation], "/")
		if !ok {
			return fmt.Errorf("manifest %s has no annotation %s with registry and name", manifest.Digest, image.NameAnnotation)
		}
		r.tags[name] = manifest.Digest
	}
	return nil
}

var asked = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/([^/]+)$`)

// ServeHTTP answers one request of who pulls.
func (r *Registry) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		refuse(writer, http.StatusMethodNotAllowed, "UNSUPPORTED", "images are pulled here only")
		return
	}
	if request.URL.Path == "/v2/" {
		return
	}
	match := asked.FindStringSubmatch(request.URL.Path)
	if match == nil {
		refuse(writer, http.StatusNotFound, "UNSUPPORTED", "no such page: "+request.URL.Path)
		return
	}
	repository, kind, digest := match[1], match[2], match[3]
	unknown := "BLOB_UNKNOWN"
	if kind == "manifests" {
		unknown = "MANIFEST_UNKNOWN"
		if found, ok := r.tags[repository+":"+digest]; ok {
			digest = found
		}
	}
	found, ok := r.parts[digest]
	if !ok {
		refuse(writer, http.StatusNotFound, unknown, repository+" has no "+digest)
		return
	}
	if err := found.write(writer, request, digest); err != nil {
		// The status is sent: only to break off tells the other side.
		panic(http.ErrAbortHandler)
	}
}

func (p part) write(writer http.ResponseWriter, request *http.Request, digest string) error {
	writer.Header().Set("Content-Type", p.mediaType)
	writer.Header().Set("Docker-Content-Digest", digest)
	writer.Header().Set("Content-Length", fmt.Sprint(p.size))
	if request.Method == http.MethodHead {
		return nil
	}
	file, err := os.Open(p.archive)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(writer, io.NewSectionReader(file, p.from, p.size))
	return err
}

func refuse(writer http.ResponseWriter, status int, code, message string) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	// Whoever has gone away meanwhile need not be told.
	_ = json.NewEncoder(writer).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}
