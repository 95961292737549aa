// Package suite says what each program of Serving's own tests takes of a cluster, as
// Serving's own script has it (test/e2e-tests.sh): features, replicas, flags.
//
// Reads: nothing.
// Gives: the suites, in the order in which they are run.
// Never: leaves a test out; e2e/serving/left-out.txt does, with the reason.
package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Suite is one program of Serving's tests.
type Suite struct {
	// Folder of it below Serving's test: "conformance/api/v1".
	Folder string
	// Settings of Knative while it runs, by ConfigMap.
	Settings Settings
	// Activators while it runs.
	Activators int32
	// Arguments of its own.
	Arguments []string
}

// Settings by ConfigMap and key.
type Settings map[string]map[string]string

// classOfPeer lets those tests run that ask no cluster, but the name of the ingress,
// whether it can do what they want. Nothing else reads the flag: what Knative asks of
// an Ingress is in config-network.
const classOfPeer = "--ingress-class=kourier.ingress.networking.knative.dev"

const (
	features      = "config-features"
	observability = "config-observability"
	collection    = "config-gc"
)

// requestLog is the template that TestRequestLogs knows, of Serving's own configuration
// for its tests (test/config/ytt/core/overlay-config-observability.yaml).
const requestLog = `{"httpRequest": {"requestMethod": "{{.Request.Method}}", "requestUrl": "{{js .Request.RequestURI}}", ` +
	`"requestSize": "{{.Request.ContentLength}}", "status": {{.Response.Code}}, "responseSize": "{{.Response.Size}}", ` +
	`"userAgent": "{{js .Request.UserAgent}}", "remoteIp": "{{js .Request.RemoteAddr}}", "serverIp": "{{.Revision.PodIP}}", ` +
	`"referer": "{{js .Request.Referer}}", "latency": "{{.Response.Latency}}s", "protocol": "{{.Request.Proto}}"}, "traceId": "{{.TraceID}}"}`

func of(folder string) Suite { return Suite{Folder: folder, Activators: 1} }

func (s Suite) with(configuration string, settings map[string]string) Suite {
	s.Settings = Settings{configuration: settings}
	return s
}

// All of them. What tagheader and initscale want is on for every suite.
func All() []Suite {
	domains := of("e2e/domainmapping")
	domains.Arguments = []string{classOfPeer}
	ha := of("ha")
	ha.Activators = 2
	// One at a time, as they end pods of Knative's own, and asking often while they do.
	ha.Arguments = []string{"--replicas=1", "--buckets=1", "--spoofinterval=10ms", "-test.parallel=1"}
	return []Suite{
		of("conformance/api/v1"),
		of("conformance/api/v1beta1"),
		of("conformance/runtime"),
		of("e2e").with(observability, map[string]string{
			"logging.enable-request-log":       "true",
			"logging.enable-probe-request-log": "true",
			"logging.request-log-template":     requestLog,
		}),
		of("e2e/tagheader"),
		of("e2e/initscale"),
		domains,
		of("e2e/gc").with(collection, map[string]string{
			"retain-since-create-time":      "disabled",
			"retain-since-last-active-time": "disabled",
			"min-non-active-revisions":      "0",
			"max-non-active-revisions":      "0",
		}),
		of("e2e/initcontainers").with(features, map[string]string{"kubernetes.podspec-init-containers": "Enabled"}),
		of("e2e/multicontainerprobing").with(features, map[string]string{"multi-container-probing": "Enabled"}),
		of("e2e/pvc").with(features, map[string]string{
			"kubernetes.podspec-persistent-volume-claim": "Enabled",
			"kubernetes.podspec-persistent-volume-write": "Enabled",
			"kubernetes.podspec-securitycontext":         "Enabled",
		}),
		of("e2e/securedefaults").with(features, map[string]string{"secure-pod-defaults": "Enabled"}),
		ha,
	}
}

// Folders of all suites.
func Folders() []string {
	var folders []string
	for _, suite := range All() {
		folders = append(folders, suite.Folder)
	}
	return folders
}

// Find gives the suite of a folder.
func Find(folder string) (Suite, error) {
	for _, suite := range All() {
		if suite.Folder == folder {
			return suite, nil
		}
	}
	return Suite{}, fmt.Errorf("suite %q is none of %s", folder, strings.Join(Folders(), ", "))
}

// None is how things are between suites.
func None() Suite { return of("") }

// Change is what to write so that a suite's settings are in force, and no other's: nil
// takes an entry away.
func (s Suite) Change() map[string]map[string]*string {
	change := map[string]map[string]*string{}
	for _, suite := range All() {
		for configuration, settings := range suite.Settings {
			if change[configuration] == nil {
				change[configuration] = map[string]*string{}
			}
			for _, key := range slices.Collect(maps.Keys(settings)) {
				change[configuration][key] = nil
				if value, ok := s.Settings[configuration][key]; ok {
					change[configuration][key] = &value
				}
			}
		}
	}
	return change
}
