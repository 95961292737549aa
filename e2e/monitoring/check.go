package monitoring

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// Found is what the manifests of a folder say.
type Found struct {
	Monitors   []monitoringv1.PodMonitor
	Rules      []monitoringv1.PrometheusRule
	Dashboards []corev1.ConfigMap
}

// Load reads the manifests of a folder as the API server does that is asked to be
// strict: `kubectl apply -f` takes no other kind of file.
func Load(folder string) (Found, error) {
	var found Found
	err := each(folder, func(file string, kind metav1.TypeMeta, text []byte) error {
		switch kind.APIVersion + " " + kind.Kind {
		case "monitoring.coreos.com/v1 PodMonitor":
			return decode(text, &found.Monitors)
		case "monitoring.coreos.com/v1 PrometheusRule":
			return decode(text, &found.Rules)
		case "v1 ConfigMap":
			return decode(text, &found.Dashboards)
		}
		return fmt.Errorf("%s %s is not expected here", kind.APIVersion, kind.Kind)
	})
	return found, err
}

// each gives every object of a folder's manifests.
func each(folder string, take func(file string, kind metav1.TypeMeta, text []byte) error) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, document := range separator.Split(string(text), -1) {
			var kind metav1.TypeMeta
			err := yaml.Unmarshal([]byte(document), &kind)
			if err == nil {
				err = take(file, kind, []byte(document))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", filepath.Base(file), err)
			}
		}
	}
	return nil
}

func decode[T any](text []byte, into *[]T) error {
	var one T
	if err := yaml.UnmarshalStrict(text, &one); err != nil {
		return err
	}
	*into = append(*into, one)
	return nil
}

// Check gives what is wrong with config/monitoring, which is `folder`, given what
// is in `config`.
func Check(folder, config string) ([]string, error) {
	series, err := Read(folder)
	if err != nil {
		return nil, err
	}
	found, err := Load(folder)
	if err != nil {
		return []string{err.Error()}, nil
	}
	jobs, findings, err := checkMonitors(found.Monitors, config)
	if err != nil {
		return nil, err
	}
	if len(found.Monitors) == 0 || len(found.Rules) == 0 || len(found.Dashboards) == 0 {
		findings = append(findings, "there are no PodMonitors, no rules or no dashboard")
	}
	for _, rule := range found.Rules {
		findings = append(findings, series.checkRules(rule, jobs)...)
	}
	for _, config := range found.Dashboards {
		findings = append(findings, series.checkDashboards(config, jobs)...)
	}
	return findings, nil
}

// checkMonitors says which pods or ports are not there, and gives the jobs that
// their targets have.
func checkMonitors(monitors []monitoringv1.PodMonitor, config string) (jobs, findings []string, err error) {
	var deployments []appsv1.Deployment
	err = each(config, func(_ string, kind metav1.TypeMeta, text []byte) error {
		if kind.Kind != "Deployment" {
			return nil
		}
		return decode(text, &deployments)
	})
	for _, monitor := range monitors {
		selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
		if err != nil {
			return nil, nil, err
		}
		selected := 0
		for _, deployment := range deployments {
			template := deployment.Spec.Template
			if !selector.Matches(labels.Set(template.Labels)) || monitor.Namespace != deployment.Namespace {
				continue
			}
			selected++
			jobs = append(jobs, template.Labels[monitor.Spec.JobLabel])
			for _, endpoint := range monitor.Spec.PodMetricsEndpoints {
				if endpoint.Port == nil || !scrapes(template, *endpoint.Port, endpoint.Path) {
					findings = append(findings, fmt.Sprintf("PodMonitor %s: %s is not what the annotations of the pods of %s say", monitor.Name, endpoint.Path, deployment.Name))
				}
			}
		}
		if selected != 1 {
			findings = append(findings, fmt.Sprintf("PodMonitor %s selects the pods of %d Deployments, expected 1", monitor.Name, selected))
		}
	}
	return jobs, findings, err
}

// scrapes says whether a pod has a port of this name, and says of itself that it is
// asked there.
func scrapes(template corev1.PodTemplateSpec, port, path string) bool {
	for _, container := range template.Spec.Containers {
		for _, one := range container.Ports {
			if one.Name == port {
				return template.Annotations["prometheus.io/path"] == path &&
					template.Annotations["prometheus.io/port"] == fmt.Sprint(one.ContainerPort)
			}
		}
	}
	return false
}

// checkRules says which alerts ask for what is not told, or do not say what to do.
func (s Series) checkRules(rule monitoringv1.PrometheusRule, jobs []string) (findings []string) {
	text, err := yaml.Marshal(rule.Spec)
	if err != nil {
		return []string{err.Error()}
	}
	_, problems := rulefmt.Parse(text, false, model.UTF8Validation, Expressions, slog.New(slog.DiscardHandler))
	for _, problem := range problems {
		findings = append(findings, problem.Error())
	}
	names := map[string]bool{}
	for _, group := range rule.Spec.Groups {
		for _, alert := range group.Rules {
			find := func(problems ...string) {
				for _, problem := range problems {
					findings = append(findings, fmt.Sprintf("alert %s: %s", alert.Alert, problem))
				}
			}
			if names[alert.Alert] {
				find("is there twice")
			}
			names[alert.Alert] = true
			if alert.For == nil || *alert.For == "" || *alert.For == "0s" {
				find("has no `for`: it would call for what passes by itself")
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, alert.Labels["severity"]) {
				find(fmt.Sprintf("severity is %q, expected critical, warning or info", alert.Labels["severity"]))
			}
			if alert.Annotations["summary"] == "" {
				find("has no summary")
			}
			if !strings.Contains(alert.Annotations["description"], "`") && !strings.Contains(alert.Annotations["description"], "sluice_") {
				find("description names no command and no metric: say what to do")
			}
			expression := alert.Expr.StrVal
			find(s.Check(expression, jobs)...)
			for _, annotation := range []string{"summary", "description"} {
				find(s.CheckText(alert.Annotations[annotation], expression)...)
			}
		}
	}
	return findings
}
