package cluster

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSluiceIsChangedOnlyWhereItMustBe(t *testing.T) {
	objects, err := productObjects(`
# words
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sluice-gateway}
spec:
  template:
    spec:
      initContainers:
        - {name: first, image: kept, resources: {requests: {cpu: 100m}}}
      containers:
        - {name: second, image: kept, resources: {requests: {cpu: "2", memory: 60Mi}, limits: {memory: 1Gi}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: any}
spec: {scaleTargetRef: {name: sluice-gateway}, minReplicas: 2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sluice-operator}
spec: {replicas: 3, template: {spec: {containers: [{name: only}]}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 {
		t.Fatalf("%d objects, expected the two Deployments", len(objects))
	}
	for number, want := range []int64{2, 3} {
		if found, _, err := unstructured.NestedInt64(objects[number].Object, "spec", "replicas"); err != nil || found != want {
			t.Errorf("%s: %d replicas, %v, expected %d", objects[number].GetName(), found, err, want)
		}
	}
	content, err := objects[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	if strings.Count(text, `"cpu":"10m"`) != 2 || strings.Contains(text, "100m") ||
		!strings.Contains(text, `"memory":"60Mi"`) || !strings.Contains(text, `"memory":"1Gi"`) {
		t.Errorf("%s", text)
	}
}

func TestAManifestOfNothingIsAnError(t *testing.T) {
	if _, err := productObjects("# words\n"); err == nil {
		t.Error("it is none")
	}
}

func TestAWarningIsAnErrorOnce(t *testing.T) {
	heard := &warnings{}
	if err := heard.err(); err != nil {
		t.Error(err)
	}
	heard.HandleWarningHeader(299, "-", "would violate PodSecurity")
	heard.HandleWarningHeader(299, "-", "would violate PodSecurity")
	if err := heard.err(); err == nil || strings.Count(err.Error(), "would violate") != 1 {
		t.Error(err)
	}
}
