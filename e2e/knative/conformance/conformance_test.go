// Package conformance runs Knative's ingress suite, whole, against the cluster of
// the kubeconfig that its flags name.
package conformance

import (
	"testing"

	"knative.dev/networking/test/conformance/ingress"
)

func TestIngressConformance(t *testing.T) {
	ingress.RunConformance(t)
}
