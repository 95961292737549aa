// Package serving pins what is taken of Knative Serving's own tests: the backends they
// run (the tools of go.mod), and what the tests themselves are built of, which nothing
// here imports. It is apart from the module knative, so that the node is not built
// anew for a test.
//
// Reads: nothing; it is never run.
// Gives: the versions; the tests build by their import paths, with `-tags e2e`.
// Never: a change to a test.
package serving
