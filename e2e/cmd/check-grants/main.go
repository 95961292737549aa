// Check-grants says of each grant in a rendered manifest how often the API server saw
// it used:
//
//	go run ./cmd/check-grants MANIFEST AUDIT-LOG…
//
// Exit 1 if one was not used, or a file cannot be read.
package main

import (
	"fmt"
	"os"

	"sluice/e2e/internal/grants"
	"sluice/e2e/internal/manifest"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: check-grants MANIFEST AUDIT-LOG…")
		os.Exit(2)
	}
	unused, err := check(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "check-grants:", err)
	}
	if err != nil || unused > 0 {
		os.Exit(1)
	}
}

func check(path string, logs []string) (int, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	objects, err := manifest.Read(content)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	uses := grants.Uses{}
	for _, log := range logs {
		if err := read(log, uses); err != nil {
			return 0, fmt.Errorf("%s: %w", log, err)
		}
	}
	granted := grants.Of(objects)
	grants.Sort(granted)
	unused := 0
	for _, grant := range granted {
		times := uses.Of(grant)
		if times == 0 {
			unused++
		}
		fmt.Printf("%7d  %s\n", times, grant)
	}
	fmt.Printf("check-grants: %d grants, %d not used\n", len(granted), unused)
	return unused, nil
}

func read(path string, uses grants.Uses) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return uses.Read(file)
}
