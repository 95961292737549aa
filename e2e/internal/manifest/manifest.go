// Package manifest reads what a release applies to a cluster, and says what in it
// would not work there, or would ask for more than it may.
//
// Reads: YAML of Kubernetes' own kinds.
// Gives: objects, strictly decoded; findings in words.
// Never: asks a cluster.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// Object of a manifest.
type Object struct {
	runtime.Object
	// Meta is the object's own metadata.
	Meta interface {
		GetName() string
		GetNamespace() string
		GetLabels() map[string]string
		GetAnnotations() map[string]string
	}
	Kind string
}

// String names the object as kubectl does.
func (o Object) String() string {
	if o.Meta.GetNamespace() == "" {
		return o.Kind + " " + o.Meta.GetName()
	}
	return o.Kind + " " + o.Meta.GetNamespace() + "/" + o.Meta.GetName()
}

// Read decodes every document. A field that its kind does not have is an error, as is
// one that is written twice.
func Read(content []byte) ([]Object, error) {
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme,
		json.SerializerOptions{Yaml: true, Strict: true})
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	var objects []Object
	for number := 1; ; number++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if empty(document) {
			continue
		}
		decoded, kind, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		described, err := meta.Accessor(decoded)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		objects = append(objects, Object{Object: decoded, Meta: described, Kind: kind.Kind})
	}
}

// empty is true of a document that holds comments only.
func empty(document []byte) bool {
	for line := range bytes.Lines(document) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}
