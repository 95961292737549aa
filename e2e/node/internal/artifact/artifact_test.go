package artifact

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/e2e/node/internal/step"
)

// module writes a Go module of one program, and gives a builder of it.
func module(t *testing.T, source string) (Builder, Group) {
	t.Helper()
	builder := Builder{Modules: t.TempDir(), Cache: t.TempDir(), Logs: t.TempDir(), Progress: step.Begin(io.Discard)}
	folder := filepath.Join(builder.Modules, "small")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"go.mod": "module small\n\ngo 1.25\n", "main.go": source} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return builder, Group{
		Name: "small", Module: "small", Arguments: buildOf(stripped, "."),
		Programs: []string{"small"}, Links: []string{"other"}, Takes: "seconds",
	}
}

func TestWhatIsBuiltIsBuiltOnce(t *testing.T) {
	builder, group := module(t, "package main\nfunc main() {}\n")
	first, err := builder.Build(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first.Program("other"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := builder.Build(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(second.Program("small"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("built anew, %v", err)
	}

	source := filepath.Join(builder.Modules, "small", "main.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() { println() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := builder.Build(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	if third.Key == first.Key {
		t.Error("another source has the same key")
	}
}

func TestWhatDoesNotBuildLeavesNothing(t *testing.T) {
	builder, group := module(t, "package main\nfunc main() { undefined() }\n")
	_, err := builder.Build(t.Context(), group)
	if err == nil || !strings.Contains(err.Error(), "undefined") || !strings.Contains(err.Error(), "build-small.log") {
		t.Errorf("%v, expected the compiler's words and their file", err)
	}
	left, err := os.ReadDir(builder.Cache)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestTheVersionIsThatOfTheModule(t *testing.T) {
	builder := Builder{Modules: filepath.Join("..", "..", "..")}
	version, major, minor, err := builder.KubernetesVersion()
	if err != nil || !strings.HasPrefix(version, "v"+major+"."+minor+".") {
		t.Errorf("%s, %s, %s, %v", version, major, minor, err)
	}
}
