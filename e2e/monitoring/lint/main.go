// lint says what in a folder such as config/monitoring asks for what nobody tells,
// one line each: `lint FOLDER CONFIG`. Exit 1 if there is a finding.
package main

import (
	"fmt"
	"os"

	"sluice/e2e/monitoring"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "lint FOLDER CONFIG, such as config/monitoring config")
		os.Exit(2)
	}
	findings, err := monitoring.Check(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, finding := range findings {
		fmt.Println(finding)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}
