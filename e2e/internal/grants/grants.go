// Package grants compares what a manifest lets its service accounts do with what an
// API server saw them do.
//
// Reads: roles and bindings of a manifest; audit logs, an event of JSON per line.
// Gives: every grant with how often it was used.
// Never: asks a cluster.
package grants

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"sluice/e2e/internal/manifest"
)

// longestEvent is more than an event without bodies ever takes.
const longestEvent = 1 << 20

// Grant is one verb on one resource for one account: the least that can be taken away.
type Grant struct {
	// Account as the API server calls it.
	Account string
	// Namespace in which it holds; empty: in all.
	Namespace string
	Group     string
	// Resource with its subresource, as in pods/log.
	Resource string
	// Name of the one object that it holds for; empty: for all.
	Name string
	Verb string
	// By is the role that it stands in.
	By string
}

// String as people say it.
func (g Grant) String() string {
	resource := g.Resource
	if g.Group != "" {
		resource += "." + g.Group
	}
	if g.Name != "" {
		resource += " " + g.Name
	}
	if g.Namespace != "" {
		resource += " in " + g.Namespace
	}
	return fmt.Sprintf("%s %s (%s to %s)", g.Verb, resource, g.By, g.Account)
}

// event is what is used of an audit event.
type event struct {
	Stage     string `json:"stage"`
	Verb      string `json:"verb"`
	User      struct{ Username string }
	ObjectRef *struct {
		APIGroup, Resource, Subresource, Namespace, Name string
	} `json:"objectRef"`
	ResponseStatus struct{ Code int } `json:"responseStatus"`
	Annotations    map[string]string  `json:"annotations"`
}

// Of lists the grants on resources to service accounts that the objects bring. Grants
// on paths are not the API server's to use: they answer reviews.
func Of(objects []manifest.Object) []Grant {
	rules := map[string][]rbacv1.PolicyRule{}
	for _, object := range objects {
		switch typed := object.Object.(type) {
		case *rbacv1.ClusterRole:
			rules["ClusterRole "+typed.Name] = typed.Rules
		case *rbacv1.Role:
			rules["Role "+typed.Namespace+"/"+typed.Name] = typed.Rules
		}
	}
	var grants []Grant
	for _, object := range objects {
		switch typed := object.Object.(type) {
		case *rbacv1.ClusterRoleBinding:
			role := "ClusterRole " + typed.RoleRef.Name
			grants = append(grants, bound(role, "", typed.Subjects, rules[role])...)
		case *rbacv1.RoleBinding:
			role := "Role " + typed.Namespace + "/" + typed.RoleRef.Name
			if typed.RoleRef.Kind == "ClusterRole" {
				role = "ClusterRole " + typed.RoleRef.Name
			}
			grants = append(grants, bound(role, typed.Namespace, typed.Subjects, rules[role])...)
		}
	}
	return grants
}

func bound(role, namespace string, subjects []rbacv1.Subject, rules []rbacv1.PolicyRule) []Grant {
	var grants []Grant
	for _, subject := range subjects {
		if subject.Kind != rbacv1.ServiceAccountKind {
			continue
		}
		grant := Grant{
			Account:   "system:serviceaccount:" + subject.Namespace + ":" + subject.Name,
			Namespace: namespace,
			By:        role,
		}
		for _, rule := range rules {
			grants = append(grants, grant.each(rule)...)
		}
	}
	return grants
}

func (g Grant) each(rule rbacv1.PolicyRule) []Grant {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var grants []Grant
	for _, g.Group = range rule.APIGroups {
		for _, g.Resource = range rule.Resources {
			for _, g.Name = range names {
				for _, g.Verb = range rule.Verbs {
					grants = append(grants, g)
				}
			}
		}
	}
	return grants
}

// Uses counts the requests of audit logs.
type Uses map[Grant]int

// Read adds a log. Requests that were not allowed are no use of a grant.
func (u Uses) Read(log io.Reader) error {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, longestEvent)
	for number := 1; lines.Scan(); number++ {
		var event event
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		object := event.ObjectRef
		if object == nil || event.Annotations["authorization.k8s.io/decision"] != "allow" {
			continue
		}
		resource := object.Resource
		if object.Subresource != "" {
			resource += "/" + object.Subresource
		}
		use := Grant{
			Account:   event.User.Username,
			Namespace: object.Namespace,
			Group:     object.APIGroup,
			Resource:  resource,
			Name:      object.Name,
			Verb:      event.Verb,
		}
		u[use]++
		// An apply that creates is asked for both rights, and logged as one request.
		if use.Verb == "patch" && event.ResponseStatus.Code == http.StatusCreated {
			use.Verb = "create"
			u[use]++
		}
	}
	return lines.Err()
}

// Of counts how often a grant was used.
func (u Uses) Of(grant Grant) int {
	count := 0
	for use, times := range u {
		if use.Account == grant.Account && use.Group == grant.Group &&
			use.Resource == grant.Resource && use.Verb == grant.Verb &&
			(grant.Namespace == "" || use.Namespace == grant.Namespace) &&
			(grant.Name == "" || use.Name == grant.Name) {
			count += times
		}
	}
	return count
}

// Sort by account, then by what is granted.
func Sort(grants []Grant) {
	slices.SortFunc(grants, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.By, b.By),
			cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Verb, b.Verb))
	})
}
