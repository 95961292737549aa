package component

import (
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/supervisor"
)

// RegistryProbe answers once the registry serves.
const RegistryProbe = "http://" + layout.RegistryAddress + "/v2/"

// Registry of images to pull: this program, by another command. It is started for
// Serving's own tests only.
func Registry(program string, archives []string) supervisor.Spec {
	return supervisor.Spec{
		Name:        "registry",
		Argv:        append([]string{program, "registry", layout.RegistryAddress}, archives...),
		Environment: environment(),
		// An archive's name has a hash of what is in it.
		Files: []string{program},
	}
}
