// Golden-hash writes what Knative's and Kubernetes' own Go code makes of objects,
// as files of the crate sluice-crds, below the folder DIR:
//
//	go run ./cmd/golden-hash DIR
//
// testdata/ingress.jsonl has Ingresses, each with the JSON of its spec after
// defaulting, the K-Network-Hash, and the faults that Knative's validation finds.
// testdata/base64.jsonl has values of a Secret as documents may write them, with
// what they decode to. src/fields.txt has every field of every kind that Sluice
// reads.
//
// The same sources give the same bytes.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: golden-hash DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "golden-hash:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	vectors, err := ingressVectors()
	if err != nil {
		return err
	}
	ingresses, err := lines(vectors)
	if err != nil {
		return err
	}
	secrets, err := lines(base64Vectors())
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{"testdata/ingress.jsonl", ingresses},
		{"testdata/base64.jsonl", secrets},
		{"src/fields.txt", fieldLines()},
	} {
		path := filepath.Join(dir, file.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, file.content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// lines writes one vector per line, and markup as it is, to be read as a diff.
func lines[V any](vectors []V) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, vector := range vectors {
		if err := encoder.Encode(vector); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
