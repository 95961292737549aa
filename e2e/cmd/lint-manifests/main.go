// Lint-manifests says what is wrong with a rendered manifest, a line per finding:
//
//	go run ./cmd/lint-manifests FILE
//
// Exit 1 if there is a finding, or the file does not parse.
package main

import (
	"fmt"
	"os"

	"sluice/e2e/internal/manifest"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: lint-manifests FILE")
		os.Exit(2)
	}
	path := os.Args[1]
	content, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint-manifests:", err)
		os.Exit(1)
	}
	objects, err := manifest.Read(content)
	if err != nil {
		fmt.Printf("%s: %s\n", path, err)
		os.Exit(1)
	}
	findings := manifest.Check(objects)
	for _, finding := range findings {
		fmt.Printf("%s: %s\n", path, finding)
	}
	fmt.Printf("lint-manifests: %d objects, %d findings\n", len(objects), len(findings))
	if len(findings) > 0 || len(objects) == 0 {
		os.Exit(1)
	}
}
