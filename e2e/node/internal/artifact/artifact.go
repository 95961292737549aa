// Package artifact builds what the node runs, once: every result lies in the cache
// under a hash of all that it is made of, and is not made again while that is the same.
//
// Reads: the Go modules beside this one, and the modules they pin.
// Gives: programs, images as archives, Knative's manifests.
// Never: contacts a registry of images; leaves half a result under its final name.
package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sluice/e2e/node/internal/step"
)

// version of the way things are made; change it when this package or image makes
// something else of the same sources.
const version = "1"

// Group of programs, built by one call of Go.
type Group struct {
	Name string
	// Module is the folder of the Go module, beside this one.
	Module string
	// Arguments of `go` with the output left out: "build", then flags and packages.
	Arguments []string
	// Programs that must come out.
	Programs []string
	// Links to the first program, for one that is many by the name it is started by.
	Links []string
	// Manifests to be kept beside the programs: a module, and its folder of manifests.
	Manifests [][2]string
	// Takes says how long it takes when nothing is cached, for whoever waits.
	Takes string
}

// Built is a group in the cache.
type Built struct {
	Group
	// Folder of the programs; manifests lie below it, each module's under its own path.
	Folder string
	// Key is the hash of what it is made of, in hexadecimal.
	Key string
}

// Program is the path of one of the group's programs.
func (b Built) Program(name string) string { return filepath.Join(b.Folder, name) }

// Builder builds into one cache folder.
type Builder struct {
	// Modules is the folder in which the Go modules lie.
	Modules string
	// Cache is where results lie; Logs is where the compiler's words go.
	Cache    string
	Logs     string
	Progress *step.Progress
}

// Build makes a group, or finds it made.
func (b Builder) Build(ctx context.Context, group Group) (Built, error) {
	key, err := b.key(ctx, group)
	if err != nil {
		return Built{}, fmt.Errorf("build %s: %w", group.Name, err)
	}
	built := Built{Group: group, Key: key, Folder: filepath.Join(b.Cache, group.Name+"-"+key[:16])}
	name := "build " + group.Name
	if _, err := os.Stat(built.Folder); err == nil {
		b.Progress.Say(name, "cached, %s", key[:16])
		return built, nil
	}
	b.Progress.Say(name, "not cached yet; takes %s", group.Takes)
	return built, b.Progress.Do(name, func() (string, error) {
		return "built, " + key[:16], b.make(ctx, built)
	})
}

func (b Builder) make(ctx context.Context, built Built) error {
	partial, err := os.MkdirTemp(b.Cache, built.Name+"-partial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(partial)
	if err := os.Chmod(partial, 0o755); err != nil {
		return err
	}
	arguments := append([]string{built.Arguments[0], "-o", partial + "/"}, built.Arguments[1:]...)
	if err := b.run(ctx, built, arguments); err != nil {
		return err
	}
	for _, program := range built.Programs {
		if _, err := os.Stat(filepath.Join(partial, program)); err != nil {
			return fmt.Errorf("go %s made no %s: %w", built.Arguments[0], program, err)
		}
	}
	for _, link := range built.Links {
		if err := os.Symlink(built.Programs[0], filepath.Join(partial, link)); err != nil {
			return err
		}
	}
	for _, manifests := range built.Manifests {
		if err := b.copyManifests(ctx, built, partial, manifests[0], manifests[1]); err != nil {
			return err
		}
	}
	return os.Rename(partial, built.Folder)
}

func (b Builder) run(ctx context.Context, built Built, arguments []string) error {
	log, err := os.Create(filepath.Join(b.Logs, "build-"+built.Name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	var tail bytes.Buffer
	command := b.command(ctx, built.Group, arguments...)
	command.Stdout = log
	command.Stderr = &tail
	failed := command.Run()
	if _, err := log.Write(tail.Bytes()); err != nil {
		return err
	}
	if failed != nil {
		lines := strings.Split(strings.TrimSpace(tail.String()), "\n")
		const shown = 10
		return fmt.Errorf("go %s in %s: %w (%s)\n%s", built.Arguments[0], command.Dir, failed, log.Name(),
			strings.Join(lines[max(0, len(lines)-shown):], "\n"))
	}
	return nil
}

// copyManifests keeps a module's YAML, so that a start from the cache needs no Go module.
func (b Builder) copyManifests(ctx context.Context, built Built, to, module, folder string) error {
	found, err := b.command(ctx, built.Group, "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("go list -m %s: %w", module, err)
	}
	root := filepath.Join(strings.TrimSpace(string(found)), folder)
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, module, folder, below)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

func (b Builder) command(ctx context.Context, group Group, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = filepath.Join(b.Modules, group.Module)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	return command
}

// key hashes all that a group is made of: the compiler, the pinned modules, the
// module's own sources, the call.
func (b Builder) key(ctx context.Context, group Group) (string, error) {
	command := b.command(ctx, group, "env", "GOVERSION", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT")
	compiler, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go env in %s: %w", command.Dir, err)
	}
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode([]any{version, group, string(compiler)}); err != nil {
		return "", err
	}
	err = filepath.WalkDir(command.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".go", ".mod", ".sum":
		default:
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(command.Dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s %d\n", below, len(content))
		hash.Write(content)
		return nil
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}
