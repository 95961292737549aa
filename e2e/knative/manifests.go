// Package knative pins what the node takes of Knative: its programs (the tools of
// go.mod), its manifests (the imports below, which keep their modules in go.mod),
// and its conformance suite (the folder conformance).
//
// Reads: nothing; it is never run.
// Gives: one version of each Knative module, for all that the node builds.
// Never: a change to Knative.
package knative

import (
	_ "knative.dev/caching/config"
	_ "knative.dev/networking/config"
	_ "knative.dev/serving/config/core"
)
