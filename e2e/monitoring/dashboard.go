package monitoring

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Dashboard is what is read of Grafana's own format.
type Dashboard struct {
	UID        string
	Title      string
	Templating struct {
		List []struct {
			Name, Type string
			Datasource *Source
			// Grafana's query is text for one source of data and an object for another.
			Query json.RawMessage
		}
	}
	Panels []Panel
}

// Panel is one of a dashboard; a row is one too.
type Panel struct {
	ID          int
	Type, Title string
	Datasource  *Source
	FieldConfig struct{ Defaults struct{ Unit string } }
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		Expr, LegendFormat, RefID string
		Datasource                *Source
	}
}

// Source of data.
type Source struct{ Type, UID string }

// The source is chosen by whoever looks.
var chosen = Source{"prometheus", "${datasource}"}

var (
	labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	// What Grafana puts in before Prometheus reads it.
	interval = strings.NewReplacer("$__rate_interval", "5m")
)

func (s Series) checkDashboards(config corev1.ConfigMap, jobs []string) (findings []string) {
	if config.Labels["grafana_dashboard"] == "" {
		findings = append(findings, fmt.Sprintf("ConfigMap %s: no label grafana_dashboard, so nobody takes it up", config.Name))
	}
	for file, text := range config.Data {
		var dashboard Dashboard
		if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
			return append(findings, fmt.Sprintf("%s: %v", file, err))
		}
		for _, problem := range s.checkDashboard(dashboard, jobs) {
			findings = append(findings, file+": "+problem)
		}
	}
	return findings
}

func (s Series) checkDashboard(dashboard Dashboard, jobs []string) (findings []string) {
	find := func(format string, arguments ...any) {
		findings = append(findings, fmt.Sprintf(format, arguments...))
	}
	if dashboard.UID == "" || dashboard.Title == "" || len(dashboard.Panels) == 0 {
		find("no uid, no title or no panels")
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Type != "query" {
			continue
		}
		var asked struct{ Query string }
		if err := json.Unmarshal(variable.Query, &asked); err != nil {
			find("variable %s: %v", variable.Name, err)
		}
		parts := labelValues.FindStringSubmatch(asked.Query)
		if parts == nil || variable.Datasource == nil || *variable.Datasource != chosen {
			find("variable %s: expected label_values(METRIC, LABEL) of ${datasource}", variable.Name)
			continue
		}
		for _, problem := range s.Check(fmt.Sprintf("sum by (%s) (%s)", parts[2], parts[1]), jobs) {
			find("variable %s: %s", variable.Name, problem)
		}
	}
	var seen []int
	for number, panel := range dashboard.Panels {
		if slices.Contains(seen, panel.ID) || panel.ID == 0 {
			find("panel %q: its id is not its own", panel.Title)
		}
		seen = append(seen, panel.ID)
		if panel.Title == "" {
			find("panel %d has no title", panel.ID)
		}
		for _, other := range dashboard.Panels[:number] {
			a, b := panel.GridPos, other.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				find("panel %q lies over %q", panel.Title, other.Title)
			}
		}
		if panel.Type == "row" {
			continue
		}
		if panel.FieldConfig.Defaults.Unit == "" {
			find("panel %q has no unit", panel.Title)
		}
		if len(panel.Targets) == 0 {
			find("panel %q asks nothing", panel.Title)
		}
		sources := []*Source{panel.Datasource}
		for _, target := range panel.Targets {
			sources = append(sources, target.Datasource)
			expression := interval.Replace(target.Expr)
			problems := append(s.Check(expression, jobs), s.CheckText(target.LegendFormat, expression)...)
			for _, problem := range problems {
				find("panel %q %s: %s", panel.Title, target.RefID, problem)
			}
		}
		for _, source := range sources {
			if source == nil || *source != chosen {
				find("panel %q: its source is not ${datasource}", panel.Title)
			}
		}
	}
	return findings
}
