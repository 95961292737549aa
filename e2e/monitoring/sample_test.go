package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"knative.dev/operator/pkg/apis/operator/v1beta1"
	"sigs.k8s.io/yaml"
)

// The sample for the Knative Operator is what its own types read, and asks for Sluice
// alone: its pkg/reconciler/knativeserving/ingress takes Istio where spec.ingress is
// not there, and nothing where none is enabled.
func TestTheOperatorReadsTheSample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(config, "samples/knative-operator.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var serving v1beta1.KnativeServing
	if err := yaml.UnmarshalStrict(text, &serving); err != nil {
		t.Fatal(err)
	}
	kind := serving.GroupVersionKind()
	if kind.Kind != "KnativeServing" || kind.GroupVersion() != v1beta1.SchemeGroupVersion {
		t.Errorf("%s", kind)
	}
	ingress := serving.Spec.Ingress
	if ingress == nil || ingress.Istio.Enabled || ingress.Kourier.Enabled || ingress.Contour.Enabled {
		t.Errorf("spec.ingress is %+v, expected one with none enabled", ingress)
	}
	source, err := os.ReadFile("../../operator/install/src/plan.rs")
	if err != nil {
		t.Fatal(err)
	}
	class := regexp.MustCompile(`"(sluice\.ingress\.[a-z.]+)"`).FindSubmatch(source)
	if class == nil || serving.Spec.Config["network"]["ingress-class"] != string(class[1]) {
		t.Errorf("config.network is %q, and Sluice serves %q", serving.Spec.Config["network"], class)
	}
}
