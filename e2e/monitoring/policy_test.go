package monitoring

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// open says why not everyone may reach a port of the pods with this label app.
func open(config, pod, port string) error {
	var policies []networkingv1.NetworkPolicy
	err := each(config, func(_ string, kind metav1.TypeMeta, text []byte) error {
		if kind.Kind != "NetworkPolicy" {
			return nil
		}
		return decode(text, &policies)
	})
	if err != nil {
		return err
	}
	for _, policy := range policies {
		if policy.Spec.PodSelector.MatchLabels["app"] != pod {
			continue
		}
		for _, rule := range policy.Spec.Ingress {
			for _, one := range rule.Ports {
				if len(rule.From) == 0 && one.Port != nil && one.Port.StrVal == port {
					return nil
				}
			}
		}
		return fmt.Errorf("NetworkPolicy %s: not everyone may reach port %s", policy.Name, port)
	}
	return fmt.Errorf("no NetworkPolicy is about %s, so nothing is known of it", pod)
}
