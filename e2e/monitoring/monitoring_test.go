package monitoring

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
)

const (
	config = "../../config"
	folder = config + "/monitoring"
)

// Two operators, of which the first leads, and two gateways.
var targets = strings.NewReplacer(
	"@1", `job="sluice-operator", namespace="sluice-system", pod="sluice-operator-1"`,
	"@2", `job="sluice-operator", namespace="sluice-system", pod="sluice-operator-2"`,
	"@a", `job="sluice-gateway", namespace="sluice-system", pod="sluice-gateway-a"`,
	"@b", `job="sluice-gateway", namespace="sluice-system", pod="sluice-gateway-b"`,
	"LEADS", "sluice_leading{@1} 1x60\nsluice_leading{@2} 0x60",
)

// Of each alert: series by the minute with which it calls, and others with which it
// does not.
var alerts = map[string]struct{ calls, quiet string }{
	"SluiceOperatorAbsent": {
		`up{@1} 0x60`,
		"up{@1} 0x60\nup{@2} 1x60",
	},
	"SluiceOperatorDown": {
		"up{@1} 0x60\nup{@2} 1x60",
		"up{@1} 1x60\nup{@a} 0x60",
	},
	"SluiceNobodyLeads": {
		"sluice_leading{@1} 0x60\nsluice_leading{@2} 0x60",
		"LEADS",
	},
	"SluiceOperatorBehind": {
		`kn_workqueue_depth{@1, name="events"} 500x60`,
		`kn_workqueue_depth{@1, name="statuses"} 500x60`,
	},
	"SluiceWatchFails": {
		`sluice_watch_failures_total{@1, resource="secrets"} 0+1x60`,
		`sluice_watch_failures_total{@1, resource="secrets"} 7x60`,
	},
	"SluiceStatusesNotWritten": {
		`sluice_status_writes_total{@1, outcome="failed"} 0+1x60`,
		`sluice_status_writes_total{@1, outcome="conflict"} 0+1x60`,
	},
	"SluiceIngressesWait": {
		"LEADS\nsluice_awaiting_gateways{@1} 2x60",
		"LEADS\nsluice_awaiting_gateways{@1} 0x60\nsluice_awaiting_gateways{@2} 9x60",
	},
	"SluiceIngressesNotServed": {
		"LEADS\nsluice_ingresses{@1, state=\"Partial\"} 1x60",
		"LEADS\nsluice_ingresses{@1, state=\"Ready\"} 5x60\nsluice_ingresses{@2, state=\"Partial\"} 5x60",
	},
	"SluicePropagationSlow": {
		`sluice_propagation_seconds_bucket{@1, le="5.0"} 0x60
		sluice_propagation_seconds_bucket{@1, le="10.0"} 0+9x60
		sluice_propagation_seconds_bucket{@1, le="+Inf"} 0+9x60`,
		`sluice_propagation_seconds_bucket{@1, le="5.0"} 0+9x60
		sluice_propagation_seconds_bucket{@1, le="10.0"} 0+9x60
		sluice_propagation_seconds_bucket{@1, le="+Inf"} 0+9x60`,
	},
	"SluiceReadinessSlow": {
		`sluice_readiness_seconds_bucket{@1, le="10.0"} 0x60
		sluice_readiness_seconds_bucket{@1, le="30.0"} 0+9x60
		sluice_readiness_seconds_bucket{@1, le="+Inf"} 0+9x60`,
		`sluice_readiness_seconds_bucket{@1, le="10.0"} 0+9x60
		sluice_readiness_seconds_bucket{@1, le="30.0"} 0+9x60
		sluice_readiness_seconds_bucket{@1, le="+Inf"} 0+9x60`,
	},
	"SluiceGatewayAbsent": {
		"up{@1} 1x60\nup{@a} 0x60",
		"up{@a} 0x60\nup{@b} 1x60",
	},
	"SluiceNoGatewayReady": {
		"LEADS\nsluice_gateways{@1} 0x60\nsluice_gateways{@2} 2x60",
		"LEADS\nsluice_gateways{@1} 2x60\nsluice_gateways{@2} 0x60",
	},
	"SluiceOneGateway": {
		"LEADS\nsluice_gateways{@1} 1x60\nsluice_gateways{@2} 2x60",
		"LEADS\nsluice_gateways{@1} 2x60\nsluice_gateways{@2} 1x60",
	},
	"SluiceGatewayCutOff": {
		"LEADS\nsluice_gateways{@1} 2x60\nsluice_xds_streams{@1} 1x60\nsluice_xds_streams{@2} 2x60",
		"LEADS\nsluice_gateways{@1} 2x60\nsluice_xds_streams{@1} 3x60\nsluice_xds_streams{@2} 0x60",
	},
	"SluiceGatewayBehind": {
		`sluice_xds_due{@1, gateway="sluice-system/sluice-gateway-a", type="RDS"} 4x60`,
		`sluice_xds_due{@1, gateway="sluice-system/sluice-gateway-a", type="RDS"} 0x60`,
	},
	"SluiceGatewayRefuses": {
		`sluice_xds_nacks_total{@1, gateway="sluice-system/sluice-gateway-a", type="RDS"} 0x50 1x10`,
		`sluice_xds_nacks_total{@1, gateway="sluice-system/sluice-gateway-a", type="RDS"} 1x60`,
	},
	"SluiceResourcesQuarantined": {
		`sluice_xds_quarantined{@1} 1x60`,
		`sluice_xds_quarantined{@1} 0x60`,
	},
	"SluiceManyErrors": {
		`envoy_http_downstream_rq_xx{@a, envoy_http_conn_manager_prefix="external-http", envoy_response_code_class="5"} 0+60x60
		envoy_http_downstream_rq_total{@a, envoy_http_conn_manager_prefix="external-http"} 0+600x60`,
		// Few requests; and those of kubelets.
		`envoy_http_downstream_rq_xx{@a, envoy_http_conn_manager_prefix="external-http", envoy_response_code_class="5"} 0+6x60
		envoy_http_downstream_rq_total{@a, envoy_http_conn_manager_prefix="external-http"} 0+6x60
		envoy_http_downstream_rq_xx{@a, envoy_http_conn_manager_prefix="readiness", envoy_response_code_class="5"} 0+600x60
		envoy_http_downstream_rq_total{@a, envoy_http_conn_manager_prefix="readiness"} 0+600x60`,
	},
	"SluiceBackendUnreachable": {
		`envoy_cluster_upstream_cx_connect_fail{@a, envoy_cluster_name="shop/cart/80"} 0+60x60`,
		`envoy_cluster_upstream_cx_connect_fail{@a, envoy_cluster_name="xds"} 0+60x60`,
	},
	"SluiceGatewayOverloaded": {
		`envoy_http_downstream_rq_overload_close{@a, envoy_http_conn_manager_prefix="external-http"} 0x60
		envoy_listener_downstream_cx_overflow{@a, envoy_listener_address="external-http"} 0+1x60`,
		`envoy_http_downstream_rq_overload_close{@a, envoy_http_conn_manager_prefix="external-http"} 5x60
		envoy_listener_downstream_cx_overflow{@a, envoy_listener_address="external-http"} 5x60`,
	},
	// The series begin with 1970.
	"SluiceCertificateEnds": {
		`envoy_listener_on_demand_secret_ssl_certificate_expiration_unix_time_seconds{@a, certificate="a.example.com"} 864000x60`,
		`envoy_listener_on_demand_secret_ssl_certificate_expiration_unix_time_seconds{@a, certificate="a.example.com"} 8640000x60`,
	},
}

func TestEachAlertCallsWhenItShouldAndNotElse(t *testing.T) {
	found, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, group := range found.Rules[0].Spec.Groups {
		for _, alert := range group.Rules {
			scene, there := alerts[alert.Alert]
			if !there {
				t.Errorf("%s: nothing here shows when it calls", alert.Alert)
				continue
			}
			tried++
			if !calls(t, scene.calls, alert.Expr.StrVal) {
				t.Errorf("%s is quiet with\n%s", alert.Alert, scene.calls)
			}
			if calls(t, scene.quiet, alert.Expr.StrVal) {
				t.Errorf("%s calls with\n%s", alert.Alert, scene.quiet)
			}
		}
	}
	if tried != len(alerts) {
		t.Errorf("%d alerts are there, %d are shown", tried, len(alerts))
	}
}

// calls says whether an expression has a result after 55 minutes of these series.
func calls(t *testing.T, series, expression string) bool {
	t.Helper()
	series = targets.Replace(targets.Replace(series))
	storage := promqltest.LoadedStorage(t, "load 1m\n  "+strings.ReplaceAll(series, "\n", "\n  "))
	defer storage.Close()
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	query, err := engine.NewInstantQuery(t.Context(), storage, nil, expression, time.Unix(55*60, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	result, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return len(result) > 0
}

func TestWhatNobodyTellsIsFound(t *testing.T) {
	series, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	jobs := []string{"sluice-operator"}
	for expression, expected := range map[string]string{
		`sluice_leading`: "",
		`sluice_ingresses{state=~"Ready|Partial", pod="x"}`:                                "",
		`sluice_rejections{reason="PercentSum"}`:                                           "",
		`up{job="sluice-operator"}`:                                                        "",
		`histogram_quantile(0.9, sum by (le) (rate(sluice_readiness_seconds_bucket[5m])))`: "",
		`sum by (`:                                        "parse error",
		`sluice_leader`:                                   `no operator and no gateway tells "sluice_leader"`,
		`sluice_watch_events`:                             "tells",
		`{state="Ready"}`:                                 "tells",
		`sluice_ingresses{status="Ready"}`:                `no label "status"`,
		`sluice_ingresses{state="Lost"}`:                  `no series has such a state`,
		`sluice_ingresses{state=~"Ready|Lost"}`:           `no series has such a state`,
		`sluice_ingresses{state!="ready"}`:                `no series has such a state`,
		`up{job="sluice"}`:                                `no series has such a job`,
		`sum by (gateway) (sluice_leading)`:               `no series has the label "gateway"`,
		`sluice_gateways and on (gateway) sluice_leading`: `not both sides have the label "gateway"`,
		`envoy_server_days_until_first_cert_expiring + envoy_http_downstream_rq_5xx`:              `tells "envoy_http_downstream_rq_5xx"`,
		`envoy_http_downstream_rq_xx{envoy_response_code_class="6"}`:                              `envoy_response_code_class`,
		`kn_workqueue_retries_total{name="events"}`:                                               `no series has such a name`,
		`envoy_cluster_upstream_rq_xx{envoy_cluster_name="a/b/80",envoy_response_code_class="5"}`: "",
	} {
		findings := strings.Join(series.Check(expression, jobs), "; ")
		if expected == "" && findings != "" || !strings.Contains(findings, expected) {
			t.Errorf("%s: %q, expected %q", expression, findings, expected)
		}
	}
	lost := series.CheckText("{{ $labels.pod }} {{gateway}} {{ $value }}", "sum by (gateway) (sluice_xds_due)")
	if len(lost) != 1 || !strings.Contains(lost[0], "{{ pod }}") {
		t.Errorf("%q", lost)
	}
	if kept := series.CheckText("{{pod}} {{state}}", `sluice_ingresses > 0 and on (pod) sluice_leading`); kept != nil {
		t.Errorf("%q", kept)
	}
}

// Each edit of a panel or an alert leaves exactly one finding behind.
func TestWhatIsWrongIsFound(t *testing.T) {
	series, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	for edit, expected := range map[string]string{
		`"unit": "none"->"unit": ""`:                               `has no unit`,
		`"title": "Ingresses Ready"->"title": ""`:                  `panel 2 has no title`,
		`"id": 3,->"id": 2,`:                                       `its id is not its own`,
		`"x": 4, "y": 1}->"x": 3, "y": 1}`:                         `lies over`,
		`"uid": "${datasource}"->"uid": "default"`:                 `${datasource}`,
		`"expr": "sum(->"expr": "sun(`:                             `parse error`,
		`{{gateway}}->{{node}}`:                                    `{{ node }}`,
		`label_values(sluice_leading,->label_values(sluice_leads,`: `sluice_leads`,
	} {
		found, err := Load(folder)
		if err != nil {
			t.Fatal(err)
		}
		before, after, _ := strings.Cut(edit, "->")
		one := found.Dashboards[0]
		text := one.Data["sluice.json"]
		if !strings.Contains(text, before) || !json.Valid([]byte(text)) {
			t.Errorf("%s is not there", before)
		}
		one.Data["sluice.json"] = strings.Replace(text, before, after, 1)
		findings := series.checkDashboards(one, nil)
		if !slices.ContainsFunc(findings, func(finding string) bool { return strings.Contains(finding, expected) }) {
			t.Errorf("%s: %q, expected %q", edit, findings, expected)
		}
	}
}

func TestMonitorsFindTheirPods(t *testing.T) {
	found, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	jobs, findings, err := checkMonitors(found.Monitors, config)
	if err != nil || len(findings) > 0 || !slices.Equal(jobs, []string{"sluice-operator", "sluice-gateway"}) {
		t.Errorf("%q %q %v", jobs, findings, err)
	}
	wrong := "statistic"
	found.Monitors[1].Spec.PodMetricsEndpoints[0].Port = &wrong
	found.Monitors[0].Namespace = "elsewhere"
	_, findings, _ = checkMonitors(found.Monitors, config)
	if len(findings) != 2 {
		t.Errorf("%q", findings)
	}
}

// Who scrapes is in another namespace, which no policy of config/ may keep out.
func TestPoliciesLetEveryoneScrape(t *testing.T) {
	for pod, port := range map[string]string{"sluice-operator": "http", "sluice-gateway": "statistics"} {
		if err := open(filepath.Clean(config), pod, port); err != nil {
			t.Error(err)
		}
	}
}
