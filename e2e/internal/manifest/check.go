package manifest

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Labels that every object carries: by them Knative's own tools find an ingress, and
// people remove one. The version is there too, whatever it is.
var Labels = map[string]string{
	"networking.knative.dev/ingress-provider": "sluice",
	"app.kubernetes.io/name":                  "knative-serving",
	"app.kubernetes.io/component":             "net-sluice",
}

const (
	versionLabel = "app.kubernetes.io/version"
	// Knative's webhook compares it with the text of the example.
	checksumAnnotation = "knative.dev/example-checksum"
)

var clusterWide = []string{"ClusterRole", "ClusterRoleBinding", "Namespace"}

// checker gathers findings over all objects of one manifest.
type checker struct {
	objects  []Object
	findings []string
}

// Check gives what is wrong, in the order of the objects.
func Check(objects []Object) []string {
	c := &checker{objects: objects}
	seen := map[string]bool{}
	for _, object := range objects {
		if seen[object.String()] {
			c.find(object, "is there twice")
		}
		seen[object.String()] = true
		if slices.Contains(clusterWide, object.Kind) != (object.Meta.GetNamespace() == "") {
			c.find(object, "namespace %q; an object that is not cluster-wide names one, and no other does", object.Meta.GetNamespace())
		}
		c.labels(object, object.Meta.GetLabels(), "metadata.labels")
		c.object(object)
	}
	return c.findings
}

func (c *checker) find(object Object, format string, arguments ...any) {
	c.findings = append(c.findings, object.String()+": "+fmt.Sprintf(format, arguments...))
}

func (c *checker) labels(object Object, found map[string]string, field string) {
	for name, expected := range Labels {
		if found[name] != expected {
			c.find(object, "%s: %s is %q, expected %q", field, name, found[name], expected)
		}
	}
	if found[versionLabel] == "" {
		c.find(object, "%s: no %s", field, versionLabel)
	}
}

func (c *checker) object(object Object) {
	switch typed := object.Object.(type) {
	case *corev1.ConfigMap:
		c.configMap(object, typed)
	case *rbacv1.ClusterRole:
		c.rules(object, typed.Rules)
	case *rbacv1.Role:
		c.rules(object, typed.Rules)
	case *rbacv1.ClusterRoleBinding:
		c.binding(object, typed.RoleRef, "", typed.Subjects)
	case *rbacv1.RoleBinding:
		c.binding(object, typed.RoleRef, typed.Namespace, typed.Subjects)
	case *appsv1.Deployment:
		c.deployment(object, typed)
	case *corev1.Service:
		pods := c.pods(object, metav1.SetAsLabelSelector(typed.Spec.Selector))
		for _, port := range typed.Spec.Ports {
			c.port(object, pods, port.TargetPort)
		}
	case *policyv1.PodDisruptionBudget:
		c.pods(object, typed.Spec.Selector)
	case *networkingv1.NetworkPolicy:
		c.networkPolicy(object, typed)
	case *autoscalingv2.HorizontalPodAutoscaler:
		c.target(object, typed)
	}
}

// checksum of an example, as Knative computes it.
func checksum(example string) string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(strings.TrimSpace(example))))
}

func (c *checker) configMap(object Object, typed *corev1.ConfigMap) {
	example, there := typed.Data["_example"]
	if found := typed.Annotations[checksumAnnotation]; there && found != checksum(example) {
		c.find(object, "%s is %q, expected %q", checksumAnnotation, found, checksum(example))
	}
}

// rules grant by name: a star grants what nobody has thought of yet.
func (c *checker) rules(object Object, rules []rbacv1.PolicyRule) {
	for number, rule := range rules {
		for _, granted := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.ResourceNames, rule.NonResourceURLs) {
			if strings.Contains(granted, "*") {
				c.find(object, "rules[%d]: %q; name what is needed", number, granted)
			}
		}
	}
}

// binding is of a role and of accounts that this manifest brings.
func (c *checker) binding(object Object, role rbacv1.RoleRef, namespace string, subjects []rbacv1.Subject) {
	if role.Kind == "ClusterRole" {
		namespace = ""
	}
	c.there(object, role.Kind, namespace, role.Name)
	for _, subject := range subjects {
		c.there(object, subject.Kind, subject.Namespace, subject.Name)
	}
}

func (c *checker) target(object Object, typed *autoscalingv2.HorizontalPodAutoscaler) {
	target := typed.Spec.ScaleTargetRef
	c.there(object, target.Kind, typed.Namespace, target.Name)
	for _, other := range c.objects {
		deployment, ok := other.Object.(*appsv1.Deployment)
		// Each time it is applied, it would undo what was scaled.
		if ok && deployment.Namespace == typed.Namespace && deployment.Name == target.Name && deployment.Spec.Replicas != nil {
			c.find(object, "scales %s, which says replicas: %d", other, *deployment.Spec.Replicas)
		}
	}
}

func (c *checker) there(object Object, kind, namespace, name string) {
	for _, other := range c.objects {
		if other.Kind == kind && other.Meta.GetNamespace() == namespace && other.Meta.GetName() == name {
			return
		}
	}
	c.find(object, "names %s %s/%s, which is not there", kind, namespace, name)
}

func (c *checker) networkPolicy(object Object, typed *networkingv1.NetworkPolicy) {
	pods := c.pods(object, &typed.Spec.PodSelector)
	for _, rule := range typed.Spec.Ingress {
		for _, peer := range rule.From {
			if peer.PodSelector != nil && peer.NamespaceSelector == nil {
				c.pods(object, peer.PodSelector)
			}
		}
		for _, port := range rule.Ports {
			if port.Port != nil {
				c.port(object, pods, *port.Port)
			}
		}
	}
}

// pods gives the Deployments whose pods a selector of an object finds.
func (c *checker) pods(object Object, selector *metav1.LabelSelector) []*appsv1.Deployment {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		c.find(object, "selector: %s", err)
		return nil
	}
	var found []*appsv1.Deployment
	for _, other := range c.objects {
		deployment, ok := other.Object.(*appsv1.Deployment)
		if ok && deployment.Namespace == object.Meta.GetNamespace() && parsed.Matches(labels.Set(deployment.Spec.Template.Labels)) {
			found = append(found, deployment)
		}
	}
	if len(found) == 0 {
		c.find(object, "selector %s finds no pod of this manifest", parsed)
	}
	return found
}

// port by its name is one of the pods' ports.
func (c *checker) port(object Object, deployments []*appsv1.Deployment, port intstr.IntOrString) {
	if port.Type != intstr.String {
		return
	}
	for _, deployment := range deployments {
		named := slices.ContainsFunc(deployment.Spec.Template.Spec.Containers, func(container corev1.Container) bool {
			return slices.ContainsFunc(container.Ports, func(candidate corev1.ContainerPort) bool { return candidate.Name == port.StrVal })
		})
		if !named {
			c.find(object, "Deployment %s has no port %q", deployment.Name, port.StrVal)
		}
	}
}
