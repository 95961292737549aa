package grants

import (
	"strings"
	"testing"

	"sluice/e2e/internal/manifest"
)

const roles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: a}
rules:
  - {apiGroups: [""], resources: [services], verbs: [list, watch]}
  - {apiGroups: [x.dev], resources: [ingresses/status], verbs: [patch]}
  - {nonResourceURLs: [/metrics], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a}
subjects: [{kind: ServiceAccount, name: op, namespace: ns}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a, namespace: ns}
rules:
  - {apiGroups: [""], resources: [secrets], resourceNames: [ca], verbs: [get, update]}
  - {apiGroups: [""], resources: [configmaps], resourceNames: [ca], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a, namespace: ns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}
subjects: [{kind: ServiceAccount, name: op, namespace: ns}]
`

func logged(verb, object, decision string) string {
	return `{"kind":"Event","stage":"ResponseComplete","verb":"` + verb + `",` +
		`"user":{"username":"system:serviceaccount:ns:op"},"objectRef":` + object + `,` +
		`"annotations":{"authorization.k8s.io/decision":"` + decision + `"}}` + "\n"
}

func TestEveryGrantIsCountedByItsOwnUses(t *testing.T) {
	objects, err := manifest.Read([]byte(roles))
	if err != nil {
		t.Fatal(err)
	}
	uses := Uses{}
	log := logged("list", `{"resource":"services"}`, "allow") +
		logged("list", `{"resource":"services","namespace":"other"}`, "allow") +
		logged("watch", `{"resource":"services"}`, "forbid") +
		logged("patch", `{"resource":"ingresses","apiGroup":"x.dev","subresource":"status","namespace":"b","name":"i"}`, "allow") +
		logged("get", `{"resource":"secrets","namespace":"ns","name":"ca"}`, "allow") +
		logged("update", `{"resource":"secrets","namespace":"ns","name":"another"}`, "allow") +
		logged("update", `{"resource":"secrets","namespace":"elsewhere","name":"ca"}`, "allow") +
		strings.Replace(logged("patch", `{"resource":"configmaps","namespace":"ns","name":"ca"}`, "allow"),
			`"stage"`, `"responseStatus":{"code":201},"stage"`, 1) +
		`{"kind":"Event","verb":"get","user":{"username":"system:serviceaccount:ns:op"},"requestURI":"/healthz"}` + "\n"
	if err := uses.Read(strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, grant := range Of(objects) {
		found[grant.String()] = uses.Of(grant)
	}
	const by, in = " (ClusterRole a to system:serviceaccount:ns:op)", " (Role ns/a to system:serviceaccount:ns:op)"
	expected := map[string]int{
		"list services" + by:                2,
		"watch services" + by:               0,
		"patch ingresses/status.x.dev" + by: 1,
		"get secrets ca in ns" + in:         1,
		"create configmaps ca in ns" + in:   1,
		"patch configmaps ca in ns" + in:    1,
		"update secrets ca in ns" + in:      0,
	}
	if len(found) != len(expected) {
		t.Errorf("found %v, expected %v", found, expected)
	}
	for grant, times := range expected {
		if found[grant] != times {
			t.Errorf("%s: found %d, expected %d", grant, found[grant], times)
		}
	}
}

func TestALogThatIsNoneIsNamed(t *testing.T) {
	err := Uses{}.Read(strings.NewReader("{}\nnonsense\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Error(err)
	}
}
