package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/e2e/node/internal/artifact"
	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
)

// everything that was built, as the second half reads it.
type everything struct {
	// Version of Kubernetes, "v1.36.3".
	Version string
	// Kubernetes is the folder of its programs; Manifests that of Knative's.
	Kubernetes string
	Manifests  string
	// Conformance is the program of Knative's ingress suite.
	Conformance string
	Pause       artifact.Archive
	CoreDNS     artifact.Archive
	// Serving and Backends by program.
	Serving  map[string]artifact.Archive
	Backends map[string]artifact.Archive
}

func buildAll(ctx context.Context, builder artifact.Builder) (everything, error) {
	var all everything
	version, major, minor, err := builder.KubernetesVersion()
	if err != nil {
		return all, err
	}
	all.Version = version
	var built [5]artifact.Built
	for i, group := range []artifact.Group{
		artifact.Kubernetes(version, major, minor), artifact.CoreDNS(), artifact.Pause(), artifact.Knative(), artifact.Conformance(),
	} {
		if built[i], err = builder.Build(ctx, group); err != nil {
			return all, err
		}
	}
	kubernetes, coredns, pause, knative, conformance := built[0], built[1], built[2], built[3], built[4]
	all.Kubernetes, all.Manifests = kubernetes.Folder, knative.Folder
	all.Conformance = conformance.Program("conformance.test")

	if all.Pause, err = builder.Image(pause, "pause", artifact.Registry, "pause"); err != nil {
		return all, err
	}
	if all.CoreDNS, err = builder.Image(coredns, "coredns", artifact.Registry, "coredns"); err != nil {
		return all, err
	}
	images := func(repository string, programs []string) (map[string]artifact.Archive, error) {
		archives := map[string]artifact.Archive{}
		for _, program := range programs {
			if archives[program], err = builder.Image(knative, program, artifact.Registry, repository+"/"+program); err != nil {
				return nil, err
			}
		}
		return archives, nil
	}
	if all.Serving, err = images("serving", artifact.ServingPrograms); err != nil {
		return all, err
	}
	// Serving's own suite has backends of the same names that are other programs.
	all.Backends, err = images("networking", artifact.BackendPrograms)
	return all, err
}

func (e everything) archives() []artifact.Archive {
	archives := []artifact.Archive{e.Pause, e.CoreDNS}
	for _, group := range []map[string]artifact.Archive{e.Serving, e.Backends} {
		for _, archive := range group {
			archives = append(archives, archive)
		}
	}
	slices.SortFunc(archives, func(a, b artifact.Archive) int { return strings.Compare(a.Name, b.Name) })
	return archives
}

func builtFile(folders layout.Folders) string { return filepath.Join(folders.Run(), "built.json") }

func (e everything) write(folders layout.Folders) error {
	content, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(builtFile(folders), content, 0o644)
}

func readBuilt(folders layout.Folders) (everything, error) {
	var all everything
	content, err := os.ReadFile(builtFile(folders))
	if err != nil {
		return all, err
	}
	return all, json.Unmarshal(content, &all)
}

// knative is what was built of Knative, to be put into a cluster.
func (e everything) knative() cluster.Knative {
	names := map[string]string{}
	for program, archive := range e.Serving {
		names[program] = archive.Name
	}
	return cluster.Knative{Manifests: e.Manifests, Images: names, Registry: artifact.Registry}
}
