package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// release is config/ in the order in which it is applied, with images named.
func release(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob("../../../config/[0-9]*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	var all strings.Builder
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("---\n" + string(content))
	}
	return strings.NewReplacer("SLUICE_IMAGE", "example.test/sluice:1", "ENVOY_IMAGE", "example.test/envoy:1").Replace(all.String())
}

func TestTheReleaseIsWithoutFindings(t *testing.T) {
	objects, err := Read([]byte(release(t)))
	if err != nil {
		t.Fatal(err)
	}
	if findings := Check(objects); len(findings) > 0 {
		t.Errorf("%s", strings.Join(findings, "\n"))
	}
}

// Each change of the release breaks one rule, and is found by name.
func TestWhatIsBrokenIsFound(t *testing.T) {
	text := release(t)
	for _, tried := range []struct{ name, old, new, expected string }{
		{"a label", "networking.knative.dev/ingress-provider: sluice", "other: sluice", "Namespace sluice-system: metadata.labels: networking.knative.dev/ingress-provider"},
		{"the version", "    app.kubernetes.io/version: devel\n", "", "Namespace sluice-system: metadata.labels: no app.kubernetes.io/version"},
		{"a star", "verbs: [get, list, watch]", `verbs: ["*"]`, `ClusterRole sluice-operator: rules[0]: "*"`},
		{"a role", "  kind: ClusterRole\n  name: sluice-operator", "  kind: ClusterRole\n  name: other", "names ClusterRole /other, which is not there"},
		{"an account", "serviceAccountName: sluice-gateway", "serviceAccountName: other", "names ServiceAccount sluice-system/other"},
		{"the namespace", "  name: config-sluice\n  namespace: sluice-system\n", "  name: config-sluice\n", "ConfigMap config-sluice: namespace"},
		{"the example", "EXAMPLE CONFIGURATION", "EXAMPLE", "ConfigMap sluice-system/config-sluice: knative.dev/example-checksum"},
		{"twice", "  name: sluice-internal\n", "  name: sluice\n", "Service sluice-system/sluice: is there twice"},
		{"a selector", "  selector:\n    app: sluice-gateway\n", "  selector:\n    app: other\n", "selector app=other finds no pod"},
		{"a port", "targetPort: internal-http\n", "targetPort: inner\n", `Deployment sluice-gateway has no port "inner"`},
		{"a policy's port", "- port: enrolment", "- port: other", `Deployment sluice-operator has no port "other"`},
		{"pods' labels", "        app: sluice-operator\n        networking", "        app: other\n        networking", "spec.selector does not find"},
		{"replicas", "spec:\n  selector:\n    matchLabels:\n      app: sluice-gateway\n  strategy", "spec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: sluice-gateway\n  strategy", "scales Deployment sluice-system/sluice-gateway"},
		{"an image", "image: example.test/sluice:1", "image: example.test:5000/sluice", "may be another one tomorrow"},
		{"a limit", "            limits:\n              memory: 1Gi\n", "", "container envoy: requests no processor"},
		{"a mount", "            - name: token\n", "            - name: other\n", "container companion: mounts other"},
		{"the drain", "seconds: 45", "seconds: 60", "container envoy: preStop sleeps"},
		{"root", "runAsNonRoot: true", "runAsNonRoot: false", "may be root"},
		{"the filesystem", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can be written"},
		{"capabilities", "drop: [ALL]", "add: [NET_ADMIN]", "keeps capabilities"},
		{"seccomp", "type: RuntimeDefault", "type: Unconfined", "no seccomp profile"},
	} {
		if !strings.Contains(text, tried.old) {
			t.Errorf("%s: the release has no %q to break", tried.name, tried.old)
			continue
		}
		objects, err := Read([]byte(strings.Replace(text, tried.old, tried.new, 1)))
		if err != nil {
			t.Errorf("%s: %v", tried.name, err)
			continue
		}
		findings := Check(objects)
		if !slices.ContainsFunc(findings, func(finding string) bool { return strings.Contains(finding, tried.expected) }) {
			t.Errorf("%s: %q not in %q", tried.name, tried.expected, findings)
		}
	}
}

func TestAFieldThatIsNoneIsAnError(t *testing.T) {
	for _, text := range []string{
		"apiVersion: v1\nkind: Service\nmetadata: {name: one}\nspec: {selektor: {}}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: one, name: two}\n",
		"apiVersion: v1\nkind: Servant\n",
		"apiVersion: v1\n kind: Service\n",
	} {
		if objects, err := Read([]byte("# words\n---\n" + text)); err == nil {
			t.Errorf("%q is read as %v", text, objects)
		}
	}
}
