package chart

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func render(t *testing.T, text string) map[string]Object {
	t.Helper()
	values := Object{}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	objects, _, err := Render("sluice-system", values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// at gives what is at a path such as spec.ports.0.port.
func at(object any, path string) any {
	for _, part := range strings.Split(path, ".") {
		switch inner := object.(type) {
		case Object:
			object = inner[strings.ReplaceAll(part, "~", ".")]
		case []any:
			index, err := strconv.Atoi(part)
			if err != nil || index >= len(inner) {
				return nil
			}
			object = inner[index]
		default:
			return nil
		}
	}
	return object
}

func TestTheChartGivesTheObjectsOfTheManifest(t *testing.T) {
	expected, err := Manifests(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	found := render(t, "namespace: {create: true}")
	if len(expected) == 0 {
		t.Fatal("the manifest has no objects")
	}
	names := slices.Sorted(maps.Keys(expected))
	if others := slices.Sorted(maps.Keys(found)); !slices.Equal(names, others) {
		t.Fatalf("objects of the manifest: %q\nof the chart: %q", names, others)
	}
	for _, name := range names {
		if !reflect.DeepEqual(expected[name], found[name]) {
			of, _ := yaml.Marshal(expected[name])
			other, _ := yaml.Marshal(found[name])
			t.Errorf("%s differs; in the manifest:\n%s\nin the chart:\n%s", name, of, other)
		}
	}
}

func TestTheChartHasTheVersionOfTheProgram(t *testing.T) {
	cargo, err := os.ReadFile(filepath.Join(Root, "Cargo.toml"))
	if err != nil {
		t.Fatal(err)
	}
	version := string(regexp.MustCompile(`(?m)^version = "(.*)"$`).FindSubmatch(cargo)[1])
	text, err := os.ReadFile(filepath.Join(Root, "config/chart/sluice/Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	chart := Object{}
	if err := yaml.Unmarshal(text, &chart); err != nil {
		t.Fatal(err)
	}
	if chart["version"] != version || chart["appVersion"] != version {
		t.Errorf("Chart.yaml has version %v and appVersion %v, Cargo.toml %s", chart["version"], chart["appVersion"], version)
	}
}

func TestEachValueIsWhereItBelongs(t *testing.T) {
	const (
		operator = "Deployment sluice-system/sluice-operator"
		gateway  = "Deployment sluice-system/sluice-gateway"
		outside  = "Service sluice-system/sluice"
		scaler   = "HorizontalPodAutoscaler sluice-system/sluice-gateway"
	)
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		values, object, path string
		expected             any
	}{
		{"images: {sluice: {repository: a/b, tag: v1}}", operator, "spec.template.spec.containers.0.image", "a/b:v1"},
		{"images: {sluice: {digest: '" + digest + "'}}", gateway, "spec.template.spec.containers.0.image", "ghcr.io/sluice-knative/sluice@" + digest},
		{"images: {envoy: {tag: v2}}", gateway, "spec.template.spec.containers.1.image", "docker.io/envoyproxy/envoy:v2"},
		{"imagePullSecrets: [{name: pull}]", gateway, "spec.template.spec.imagePullSecrets.0.name", "pull"},
		{"knative: {namespace: kn}", operator, "spec.template.spec.containers.0.env.2.value", "kn"},
		{"config: {access-log: Enabled}", "ConfigMap sluice-system/config-sluice", "data.access-log", "Enabled"},
		{"config: {trusted-hops-count: '2'}", "ConfigMap sluice-system/config-sluice", "data.trusted-hops-count", "2"},
		{"operator: {replicas: 3}", operator, "spec.replicas", 3.0},
		{"operator: {log: debug}", operator, "spec.template.spec.containers.0.env.3.value", "debug"},
		{"operator: {secrets: knative}", operator, "spec.template.spec.containers.0.env.4", Object{"name": "SLUICE_SECRETS", "value": "knative"}},
		{"operator: {clusterDomain: corp.example}", operator, "spec.template.spec.containers.0.env.4", Object{"name": "CLUSTER_DOMAIN", "value": "corp.example"}},
		{"operator: {resources: {limits: {memory: 1Gi}}}", operator, "spec.template.spec.containers.0.resources.limits.memory", "1Gi"},
		{"operator: {podAnnotations: {a/b: c}}", operator, "spec.template.metadata.annotations.a/b", "c"},
		{"operator: {tolerations: [{key: x}]}", operator, "spec.template.spec.tolerations.0.key", "x"},
		{"operator: {nodeSelector: {disk: ssd}}", operator, "spec.template.spec.nodeSelector.disk", "ssd"},
		{"operator: {priorityClassName: high}", operator, "spec.template.spec.priorityClassName", "high"},
		{"gateway: {affinity: {nodeAffinity: {}}}", gateway, "spec.template.spec.affinity.nodeAffinity", Object{}},
		{"gateway: {replicas: 4}", scaler, "spec.minReplicas", 4.0},
		{"gateway: {replicas: 4, autoscaling: {enabled: false}}", gateway, "spec.replicas", 4.0},
		{"gateway: {autoscaling: {maxReplicas: 40, cpu: 500m}}", scaler, "spec.metrics.0.containerResource.target.averageValue", "500m"},
		{"gateway: {autoscaling: {maxReplicas: 40}}", scaler, "spec.maxReplicas", 40.0},
		{"gateway: {log: debug}", gateway, "spec.template.spec.containers.0.env.3.value", "debug"},
		{"gateway: {workers: 8}", gateway, "spec.template.spec.containers.1.args.10", "8"},
		{"gateway: {resources: {limits: {memory: 4Gi}}}", gateway, "spec.template.spec.containers.1.resources.limits.memory", "4Gi"},
		{"gateway: {service: {type: NodePort}}", outside, "spec.type", "NodePort"},
		{"gateway: {service: {annotations: {balancer: inner}}}", outside, "metadata.annotations.balancer", "inner"},
		{"gateway: {service: {loadBalancerClass: l}}", outside, "spec.loadBalancerClass", "l"},
		{"gateway: {service: {loadBalancerSourceRanges: [10.0.0.0/8]}}", outside, "spec.loadBalancerSourceRanges.0", "10.0.0.0/8"},
		{"gateway: {service: {externalTrafficPolicy: Local}}", outside, "spec.externalTrafficPolicy", "Local"},
		{"monitoring: {podMonitors: true}", "PodMonitor sluice-system/sluice-gateway", "spec.podMetricsEndpoints.0.path", "/stats/prometheus"},
		{"monitoring: {podMonitors: true, labels: {release: prom}}", "PodMonitor sluice-system/sluice-operator", "metadata.labels.release", "prom"},
	} {
		if found := at(render(t, c.values)[c.object], c.path); !reflect.DeepEqual(found, c.expected) {
			t.Errorf("%s: %s of %s is %v, expected %v", c.values, c.path, c.object, found, c.expected)
		}
	}
}

func TestWhatIsOffIsNotThere(t *testing.T) {
	for kind, off := range map[string]string{
		"Namespace":               "{create: false}",
		"NetworkPolicy":           "{create: true}\nnetworkPolicies: {enabled: false}",
		"PodDisruptionBudget":     "{create: true}\npodDisruptionBudgets: {enabled: false}",
		"HorizontalPodAutoscaler": "{create: true}\ngateway: {autoscaling: {enabled: false}}",
	} {
		without := render(t, "namespace: "+off)
		for name := range render(t, "namespace: {create: true}") {
			_, there := without[name]
			if strings.HasPrefix(name, kind+" ") == there {
				t.Errorf("%s: %s is there: %v", off, name, there)
			}
		}
	}
}

func TestAnotherNamespaceIsNamedEverywhere(t *testing.T) {
	objects, notes, err := Render("edge", Object{})
	if err != nil {
		t.Fatal(err)
	}
	for name, object := range objects {
		text, _ := yaml.Marshal(object)
		if strings.Contains(string(text), "sluice-system") {
			t.Errorf("%s names sluice-system:\n%s", name, text)
		}
	}
	if !strings.Contains(notes, "kubectl -n edge get service sluice") {
		t.Errorf("the notes do not name the namespace:\n%s", notes)
	}
}

func TestABadValueIsRefusedByName(t *testing.T) {
	for _, c := range []struct{ values, field string }{
		{"replicas: 3", "replicas"},
		{"gateway: {replica: 3}", "replica"},
		{"gateway: {replicas: 0}", "/gateway/replicas"},
		{"gateway: {replicas: two}", "/gateway/replicas"},
		{"gateway: {workers: '2'}", "/gateway/workers"},
		{"gateway: {service: {type: External}}", "/gateway/service/type"},
		{"gateway: {service: {annotations: {a: 1}}}", "/gateway/service/annotations/a"},
		{"gateway: {service: {loadBalancerSourceRanges: [everyone]}}", "/gateway/service/loadBalancerSourceRanges/0"},
		{"gateway: {resources: {limits: {memory: lots}}}", "/gateway/resources/limits/memory"},
		{"gateway: {resources: {limits: null}}", "/gateway/resources"},
		{"gateway: {autoscaling: {cpu: 1}}", "/gateway/autoscaling/cpu"},
		{"operator: {secrets: all}", "/operator/secrets"},
		{"operator: {log: ''}", "/operator/log"},
		{"images: {sluice: {digest: abc}}", "/images/sluice/digest"},
		{"images: {envoy: {tag: ''}}", "/images/envoy"},
		{"config: {acces-log: Enabled}", "acces-log"},
		{"config: {access-log: on}", "/config/access-log"},
		{"config: {client-streams: 100}", "/config/client-streams"},
		{"monitoring: {podMonitor: true}", "podMonitor"},
		{"networkPolicies: {enabled: maybe}", "/networkPolicies/enabled"},
		{"knative: {namespace: Knative}", "/knative/namespace"},
		{"gateway: {replicas: 20}", "gateway.autoscaling.maxReplicas: found 10"},
	} {
		values := Object{}
		if err := yaml.Unmarshal([]byte(c.values), &values); err != nil {
			t.Fatal(err)
		}
		_, _, err := Render("sluice-system", values)
		if err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: expected an error that names %s, found: %v", c.values, c.field, err)
		}
	}
}

func TestTheKeysOfConfigSluiceAreThoseOfItsExample(t *testing.T) {
	example, _ := at(render(t, "{}")["ConfigMap sluice-system/config-sluice"], "data._example").(string)
	keys := Object{}
	if err := yaml.Unmarshal([]byte(example), &keys); err != nil || len(keys) == 0 {
		t.Fatalf("the example has no keys: %v", err)
	}
	if _, _, err := Render("sluice-system", Object{"config": keys}); err != nil {
		t.Errorf("the example's own values are refused: %v", err)
	}
}

// As the Knative Operator would do with all that it installs.
func TestTheNamespaceOfServingIsRefused(t *testing.T) {
	_, _, err := Render("knative-serving", Object{})
	if err == nil || !strings.Contains(err.Error(), "use --namespace sluice-system") {
		t.Errorf("expected an error that names another namespace, found: %v", err)
	}
}
