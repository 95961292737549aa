package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestUntilSaysWhatIsMissing(t *testing.T) {
	missing := errors.New("no pod yet")
	tries := 0
	err := Until(t.Context(), time.Minute, nil, func(context.Context) error {
		if tries++; tries < 3 {
			return missing
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	err = Until(t.Context(), 10*time.Millisecond, nil, func(context.Context) error { return missing })
	if !errors.Is(err, missing) || !strings.Contains(err.Error(), "not after 10ms") {
		t.Errorf("%v", err)
	}
	dead := errors.New("etcd has ended")
	err = Until(t.Context(), time.Minute, func() error { return dead }, func(context.Context) error { return missing })
	if !errors.Is(err, dead) || !errors.Is(err, missing) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = Until(ctx, time.Minute, nil, func(context.Context) error { return missing })
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v", err)
	}
}

func TestConditions(t *testing.T) {
	for _, tried := range []struct{ name, status, want string }{
		{"true", `{observedGeneration: 2, conditions: [{type: Other, status: "False"}, {type: Ready, status: "True"}]}`, ""},
		{"false", `{conditions: [{type: Ready, status: "False", reason: Why, message: words}]}`, "Thing one: Ready is False: Why words"},
		{"of an older generation", `{observedGeneration: 1, conditions: [{type: Ready, status: "True"}]}`, "Thing one: generation 1 seen of 2"},
		{"not yet there", `{}`, "Thing one: no condition Ready yet"},
	} {
		objects, err := readObjects("{apiVersion: v1, kind: Thing, metadata: {name: one, generation: 2}, status: " + tried.status + "}")
		if err != nil {
			t.Fatal(err)
		}
		found := ""
		if err := Condition(objects[0], "Ready"); err != nil {
			found = err.Error()
		}
		if found != tried.want {
			t.Errorf("%s: %q, expected %q", tried.name, found, tried.want)
		}
	}
}

// manifests writes what stands for Knative's three modules.
func manifests(t *testing.T, serving string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range map[string]string{
		"knative.dev/networking/config/network.yaml": "# only words\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: config-network}\ndata: {_example: words}\n",
		"knative.dev/caching/config/none.yaml":       "# only words\n",
		"knative.dev/serving/config/core/all.yaml":   serving,
	} {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestKnativeIsChangedOnlyWhereItMustBe(t *testing.T) {
	knative := Knative{Registry: "local.dev", Images: map[string]string{"activator": "local.dev/serving/activator:1"}}
	knative.Manifests = manifests(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: activator}
spec:
  template:
    spec:
      containers:
        - image: ko://knative.dev/serving/cmd/activator
          resources: {requests: {cpu: 300m, memory: 60Mi}, limits: {cpu: 1000m}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: activator}
`)
	objects, err := knative.objects()
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 {
		t.Fatalf("%d objects, expected the ConfigMap and the Deployment", len(objects))
	}
	data, _, err := unstructured.NestedStringMap(objects[0].Object, "data")
	if err != nil || data["ingress-class"] != "sluice.ingress.networking.knative.dev" || data["_example"] != "words" {
		t.Errorf("%v, %v", data, err)
	}
	containers, _, err := unstructured.NestedSlice(objects[1].Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	container, ok := containers[0].(map[string]any)
	if !ok || container["image"] != "local.dev/serving/activator:1" {
		t.Fatalf("%v", containers[0])
	}
	for path, want := range map[string]string{"requests cpu": "10m", "requests memory": "60Mi", "limits cpu": "1000m"} {
		found, _, err := unstructured.NestedString(container, append([]string{"resources"}, strings.Fields(path)...)...)
		if err != nil || found != want {
			t.Errorf("%s: %s, %v, expected %s", path, found, err, want)
		}
	}
}

func TestAProgramThatNobodyBuiltIsNamed(t *testing.T) {
	knative := Knative{Manifests: manifests(t, "image: ko://knative.dev/serving/cmd/gone\n")}
	if _, err := knative.objects(); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v, expected the program's name", err)
	}
}
