// Image writes one program and the files beside it as a container image.
//
// Reads: the name of the image, the archive to write, and files as INSIDE=SOURCE; the
// first is the program.
// Gives: an OCI archive, the same for the same files.
// Never: asks a registry or a container tool.
package main

import (
	"fmt"
	"os"
	"strings"

	"sluice/e2e/node/internal/image"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 3 {
		return fmt.Errorf("found %d arguments, expected NAME ARCHIVE INSIDE=SOURCE…", len(arguments))
	}
	name, archive, pairs := arguments[0], arguments[1], arguments[2:]
	files := map[string]string{}
	var program string
	for _, pair := range pairs {
		inside, source, ok := strings.Cut(pair, "=")
		if !ok || !strings.HasPrefix(inside, "/") || source == "" {
			return fmt.Errorf("found %q, expected INSIDE=SOURCE with an absolute path inside", pair)
		}
		if program == "" {
			program = inside
		}
		files[inside] = source
	}
	return image.Write(archive, image.Image{Name: name, Entrypoint: []string{program}, Files: files})
}
