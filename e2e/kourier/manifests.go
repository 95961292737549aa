// Package kourier pins the ingress that Services move from and back to in the tests of
// `sluice migrate`: its controller (the tool of go.mod) and its manifests (the import
// below, which keeps their module in go.mod).
//
// Reads: nothing; it is never run.
// Gives: one version of Kourier, for hack/make-kourier to build.
// Never: a change to Kourier.
package kourier

import _ "knative.dev/net-kourier/config"
