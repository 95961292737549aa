package manifest

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// deployment has pods that the profile `restricted` of Pod Security admits, and that
// write to no disk of theirs.
func (c *checker) deployment(object Object, deployment *appsv1.Deployment) {
	template := deployment.Spec.Template
	c.labels(object, template.Labels, "spec.template.metadata.labels")
	selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
	if err != nil || !selector.Matches(labels.Set(template.Labels)) {
		c.find(object, "spec.selector does not find the pods of spec.template")
	}
	if _, versioned := deployment.Spec.Selector.MatchLabels[versionLabel]; versioned {
		c.find(object, "spec.selector has %s; it cannot change, so there would be no upgrade", versionLabel)
	}
	c.there(object, "ServiceAccount", deployment.Namespace, template.Spec.ServiceAccountName)
	if template.Spec.AutomountServiceAccountToken == nil {
		c.find(object, "automountServiceAccountToken is left to chance")
	}
	volumes := map[string]bool{}
	for _, volume := range template.Spec.Volumes {
		volumes[volume.Name] = true
		if volume.HostPath != nil {
			c.find(object, "volume %s is of the host", volume.Name)
		}
	}
	grace := int64(30)
	if template.Spec.TerminationGracePeriodSeconds != nil {
		grace = *template.Spec.TerminationGracePeriodSeconds
	}
	for _, container := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
		c.container(object, container, volumes, grace)
	}
}

func (c *checker) container(object Object, container corev1.Container, volumes map[string]bool, grace int64) {
	find := func(what string) { c.find(object, "container %s: %s", container.Name, what) }
	// The last part of the name: a registry may have a port.
	last := container.Image[strings.LastIndex(container.Image, "/")+1:]
	if !strings.ContainsAny(last, ":@") || strings.HasSuffix(last, ":latest") {
		find("image " + container.Image + " may be another one tomorrow")
	}
	if container.Resources.Requests.Cpu().IsZero() || container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
		find("requests no processor, no memory, or has no limit of memory")
	}
	for _, mount := range container.VolumeMounts {
		if !volumes[mount.Name] {
			find("mounts " + mount.Name + ", which is no volume")
		}
	}
	if hook := container.Lifecycle; hook != nil && hook.PreStop != nil && hook.PreStop.Sleep != nil && hook.PreStop.Sleep.Seconds >= grace {
		find("preStop sleeps for as long as the pod may take to end, or longer")
	}
	context := container.SecurityContext
	if context == nil {
		find("no securityContext")
		return
	}
	is := func(field *bool, expected bool) bool { return field != nil && *field == expected }
	if !is(context.RunAsNonRoot, true) || !is(context.AllowPrivilegeEscalation, false) {
		find("may be root, or become it")
	}
	if !is(context.ReadOnlyRootFilesystem, true) {
		find("its root filesystem can be written")
	}
	if context.Capabilities == nil || !slices.Contains(context.Capabilities.Drop, "ALL") || len(context.Capabilities.Add) > 0 {
		find("keeps capabilities")
	}
	if context.SeccompProfile == nil || context.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		find("no seccomp profile")
	}
}
