package layout

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Backend names the image of one of the suite's backends, as the node was built with it.
func (f Folders) Backend(name string) (string, error) {
	file := filepath.Join(f.Run(), "built.json")
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var built struct {
		Backends map[string]struct{ Name string }
	}
	if err := json.Unmarshal(content, &built); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if built.Backends[name].Name == "" {
		return "", fmt.Errorf("%s names no backend %q", file, name)
	}
	return built.Backends[name].Name, nil
}
