// Package chart renders config/chart/sluice as `helm template` does, and
// config/ as `make manifests` does, object by object.
//
// Reads the repository. Gives objects by name. Never asks a cluster.
package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

// Object is one as its manifest has it.
type Object = map[string]any

// Root is the repository, as seen from this folder.
const Root = "../.."

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// Render gives the objects of the chart for these values, laid over its own.
func Render(namespace string, values Object) (map[string]Object, string, error) {
	loaded, err := loader.Load(filepath.Join(Root, "config/chart/sluice"))
	if err != nil {
		return nil, "", fmt.Errorf("the chart cannot be read: %w", err)
	}
	release := chartutil.ReleaseOptions{Name: "sluice", Namespace: namespace, Revision: 1, IsInstall: true}
	capabilities := chartutil.DefaultCapabilities.Copy()
	all, err := chartutil.ToRenderValues(loaded, values, release, capabilities)
	if err != nil {
		return nil, "", err
	}
	files, err := engine.Engine{Strict: true}.Render(loaded, all)
	if err != nil {
		return nil, "", err
	}
	objects := map[string]Object{}
	notes := ""
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			notes = text
			continue
		}
		if err := addObjects(objects, name, text); err != nil {
			return nil, "", err
		}
	}
	return objects, notes, nil
}

// Manifests gives the objects of `make manifests`.
func Manifests(folder string) (map[string]Object, error) {
	file := filepath.Join(folder, "sluice.yaml")
	command := exec.Command("hack/render-manifests", file)
	command.Dir = Root
	if said, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("hack/render-manifests: %w: %s", err, said)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	objects := map[string]Object{}
	return objects, addObjects(objects, file, string(text))
}

func addObjects(objects map[string]Object, source, text string) error {
	for _, document := range separator.Split(text, -1) {
		object := Object{}
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			return fmt.Errorf("%s: %w in\n%s", source, err, document)
		}
		if len(object) == 0 {
			continue
		}
		metadata, _ := object["metadata"].(Object)
		name := fmt.Sprint(object["kind"], " ", metadata["namespace"], "/", metadata["name"])
		if _, twice := objects[name]; twice {
			return fmt.Errorf("%s: %s is there twice", source, name)
		}
		objects[name] = object
	}
	return nil
}
