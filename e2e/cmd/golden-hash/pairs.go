package main

import (
	"fmt"

	"sluice/e2e/internal/covering"
)

// way is one way to write a field.
type way struct {
	// absent leaves the field out.
	absent bool
	// write gives the value; inside is the object that a container holds.
	write func(inside object) any
	// holds tells that the object inside is written.
	holds bool
}

// field is one field of the API and the ways to write it.
type field struct {
	name string
	// in is the index of the field around it.
	in   int
	ways []way
}

func value(v any) way { return way{write: func(object) any { return v }} }

func container(write func(inside object) any) way { return way{write: write, holds: true} }

// everyWay starts with the two ways in which a field is not there.
func everyWay(ways ...way) []way {
	return append([]way{{absent: true}, value(nil)}, ways...)
}

func values(vs ...any) []way {
	var ways []way
	for _, v := range vs {
		ways = append(ways, value(v))
	}
	return everyWay(ways...)
}

func text(more ...any) []way {
	return values(append([]any{"", "plain", markup, unicode, controls}, more...)...)
}

func listOf(ways ...way) []way {
	return everyWay(append([]way{
		value(list{}),
		container(func(inside object) any { return list{inside} }),
	}, ways...)...)
}

// The fields of an Ingress, a field after the one around it.
const (
	metadataName = iota
	metadataNamespace
	tls
	tlsHosts
	secretName
	secretNamespace
	rules
	ruleHosts
	visibility
	http
	paths
	path
	rewriteHost
	headers
	exact
	splits
	serviceNamespace
	serviceName
	servicePort
	percent
	splitAppendHeaders
	pathAppendHeaders
	httpOption
	foreign
)

// foreignWays are fields that the API does not have: none, unknown ones beside
// every known one, and known ones in another case.
const (
	foreignUnknown = 1
	foreignCase    = 2
)

func fields() []field {
	none := covering.Root
	another := object{"serviceNamespace": "default", "serviceName": "other", "servicePort": 81, "percent": 60}
	appendHeaders := values(
		object{}, object{"k": "v"}, object{"b": markup, "a": unicode, markup: "", unicode: controls}, object{"k": nil})
	hosts := values(list{}, list{"hello.example.com"}, list{"b", markup, "a", unicode}, list{nil, ""})
	return []field{
		metadataName:      {"name", none, text()},
		metadataNamespace: {"namespace", none, values("", "default", "ns-é")},
		tls: {"tls", none, listOf(
			container(func(inside object) any { return list{nil, inside, object{"secretName": "s"}} }),
		)},
		tlsHosts:        {"hosts", tls, hosts},
		secretName:      {"secretName", tls, text()},
		secretNamespace: {"secretNamespace", tls, text("default")},
		rules: {"rules", none, listOf(
			container(func(inside object) any { return list{object{"hosts": list{"first"}}, inside, nil} }),
		)},
		ruleHosts:  {"hosts", rules, hosts},
		visibility: {"visibility", rules, text("ExternalIP", "ClusterLocal")},
		http: {"http", rules, everyWay(
			value(object{}),
			container(func(inside object) any { return inside }),
		)},
		paths: {"paths", http, listOf(
			container(func(inside object) any { return list{nil, inside, object{"path": "/z"}} }),
		)},
		path:        {"path", paths, text("/", "/a/b?c")},
		rewriteHost: {"rewriteHost", paths, text()},
		headers: {"headers", paths, everyWay(
			value(object{}),
			value(object{"K-Nothing": nil}),
			container(func(inside object) any { return object{"Knative-Serving-Tag": inside} }),
			container(func(inside object) any {
				return object{"b": object{"exact": "2"}, "B": inside, markup: object{"exact": "1"}}
			}),
		)},
		exact: {"exact", headers, text()},
		splits: {"splits", paths, listOf(
			container(func(inside object) any { return list{inside, another} }),
			container(func(inside object) any { return list{nil, inside, object{}} }),
		)},
		serviceNamespace:   {"serviceNamespace", splits, text("default")},
		serviceName:        {"serviceName", splits, text()},
		servicePort:        {"servicePort", splits, values(0, 80, 65536, -1, "", "http", "80", markup, unicode)},
		percent:            {"percent", splits, values(0, 1, 40, 100, 101, -1)},
		splitAppendHeaders: {"appendHeaders", splits, appendHeaders},
		pathAppendHeaders:  {"appendHeaders", paths, appendHeaders},
		httpOption:         {"httpOption", none, text("Enabled", "Redirected")},
		foreign: {"", none, []way{
			{absent: true}, foreignUnknown: {absent: true}, foreignCase: {absent: true},
		}},
	}
}

// pairedObjects are Ingresses in which every way to write a field meets every
// way to write each other field.
func pairedObjects() []namedObject {
	fields := fields()
	factors := make([]covering.Factor, len(fields))
	for f, field := range fields {
		holds := make([]bool, len(field.ways))
		for w, way := range field.ways {
			holds[w] = way.holds
		}
		factors[f] = covering.Factor{Parent: field.in, Holds: holds}
	}
	var objects []namedObject
	for i, row := range covering.Rows(factors) {
		objects = append(objects, namedObject{fmt.Sprintf("pairs/%03d", i), assemble(fields, row)})
	}
	return objects
}

// assemble writes each field of a row into the object around it, the innermost
// first.
func assemble(fields []field, row []int) object {
	metadata, spec := object{}, object{}
	inside := make([]object, len(fields))
	for f := range fields {
		inside[f] = object{}
	}
	around := func(f int) object {
		switch {
		case f == metadataName || f == metadataNamespace:
			return metadata
		case fields[f].in == covering.Root:
			return spec
		default:
			return inside[fields[f].in]
		}
	}
	for f := len(fields) - 1; f >= 0; f-- {
		if row[f] == covering.Nowhere || fields[f].ways[row[f]].absent {
			continue
		}
		around(f)[fields[f].name] = fields[f].ways[row[f]].write(inside[f])
	}
	whole := object{"apiVersion": apiVersion, "kind": "Ingress", "metadata": metadata, "spec": spec}
	for _, holder := range append(inside, spec) {
		addForeign(row[foreign], holder)
	}
	return whole
}

func addForeign(way int, holder object) {
	switch way {
	case foreignUnknown:
		holder["retries"] = object{"attempts": 3, "rules": list{object{"percent": 1}}}
	case foreignCase:
		for _, name := range []string{
			"TLS", "Rules", "httpoption", "Hosts", "HTTP", "Paths", "Path", "Exact", "Splits", "servicename", "Percent",
		} {
			holder[name] = list{object{"unread": name}}
		}
	}
}
