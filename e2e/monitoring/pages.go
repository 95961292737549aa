// Package monitoring judges config/monitoring by Prometheus's own parsers: what its
// rules and its dashboard ask for is what operators and gateways tell.
//
// Reads the repository. Gives findings. Never asks a cluster.
package monitoring

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// Page is one of config/monitoring/metrics, which tests of the product write.
type Page struct{ File, ContentType string }

// Pages of an operator and of a gateway, with the types under which both serve them.
var Pages = []Page{
	{"metrics/operator.txt", "application/openmetrics-text; version=1.0.0; charset=utf-8"},
	{"metrics/gateway.txt", "text/plain; charset=UTF-8"},
}

// Scraped are the labels that a PodMonitor gives to every series.
var Scraped = []string{"job", "namespace", "pod", "container", "endpoint", "instance"}

// Open are the labels whose values are names that a cluster chooses. Of all others
// the pages have every value.
var Open = []string{"gateway", "reason", "envoy_cluster_name"}

// Series by the name of the metric.
type Series map[string][]labels.Labels

// Read gives the series of all pages below a folder, and what every scrape adds.
func Read(folder string) (Series, error) {
	all := Series{}
	for _, page := range Pages {
		text, err := os.ReadFile(filepath.Join(folder, page.File))
		if err != nil {
			return nil, err
		}
		if err := all.add(text, page.ContentType); err != nil {
			return nil, fmt.Errorf("%s: %w", page.File, err)
		}
	}
	// Of every target, by Prometheus itself.
	all["up"] = []labels.Labels{labels.EmptyLabels()}
	return all, nil
}

func (s Series) add(text []byte, contentType string) error {
	parser, err := textparse.New(text, contentType, nil, textparse.ParserOptions{})
	if err != nil {
		return err
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry == textparse.EntrySeries {
			var found labels.Labels
			parser.Labels(&found)
			name := found.Get(labels.MetricName)
			s[name] = append(s[name], found)
		}
	}
}
