package main

import (
	"fmt"
	"math"
)

type object = map[string]any
type list = []any

// Text that Go's encoder has to treat in each of its ways.
const (
	markup   = `<a href="x">&amp;</a>`
	unicode  = "é\u2028\u2029\U0001F600\uFFFD\uFFFF"
	controls = "\x00\b\f\n\r\t\x1f\x7f\\/"
)

// namedObjects are what pairs do not reach: whole objects as they occur, and
// corners of the encoder.
func namedObjects() []namedObject {
	one := func(split object) object {
		return object{"rules": list{object{
			"hosts": list{"hello.example.com"},
			"http":  object{"paths": list{object{"splits": list{split}}}},
		}}}
	}
	split := func(more object) object {
		split := object{"serviceNamespace": "default", "serviceName": "hello", "servicePort": 80}
		for field, value := range more {
			split[field] = value
		}
		return split
	}
	with := func(more object) object { return one(split(more)) }
	paths := func(paths ...any) object {
		return object{"rules": list{object{"http": object{"paths": list(paths)}}}}
	}

	objects := []namedObject{
		{"conformance/enabled", named("serving-tests", "hello", object{
			"httpOption": "Enabled",
			"rules": list{object{
				"hosts": list{"hello.example.com"},
				"http": object{"paths": list{object{"splits": list{object{
					"serviceNamespace": "serving-tests", "serviceName": "hello", "servicePort": 80,
				}}}}},
			}},
		})},
		{"conformance/everything", named("ns", "n", object{
			"tls": list{object{"hosts": list{"a.b"}, "secretName": "s", "secretNamespace": "ns"}},
			"rules": list{object{
				"hosts":      list{"a.b"},
				"visibility": "ClusterLocal",
				"http": object{"paths": list{object{
					"path":        "/x?<&>",
					"rewriteHost": "r.h",
					"headers":     object{"Z": object{"exact": "1"}, "A": object{"exact": "2"}},
					"splits": list{
						object{
							"serviceNamespace": "ns", "serviceName": "svc", "servicePort": "http",
							"appendHeaders": object{"b": "é", "a": "<"},
						},
					},
					"appendHeaders": object{"K": "v"},
				}}},
			}},
		})},
		{"object/no spec", object{"apiVersion": apiVersion, "kind": "Ingress", "metadata": object{"name": "n"}}},
		{"object/spec null", named("default", "n", nil)},
		{"object/spec empty", named("default", "n", object{})},
		{"object/metadata null", object{
			"apiVersion": apiVersion, "kind": "Ingress", "metadata": nil, "spec": with(nil),
		}},
		{"object/status", object{
			"apiVersion": apiVersion, "kind": "Ingress",
			"metadata": object{
				"name": "n", "namespace": "default", "generation": 3, "creationTimestamp": nil,
				"labels": object{"a": "b"}, "annotations": nil,
			},
			"spec": with(nil),
			"status": object{
				"observedGeneration": 3,
				"conditions":         list{object{"type": "Ready", "status": "True"}},
				"publicLoadBalancer": object{"ingress": list{object{"domainInternal": "d"}}},
			},
		}},
		// namespace and name are joined without a separator: these two hash alike.
		{"name/a bc", named("a", "bc", with(nil))},
		{"name/ab c", named("ab", "c", with(nil))},

		{"defaults/single split of 0", named("default", "n", with(object{"percent": 0}))},
		{"defaults/single split of 1", named("default", "n", with(object{"percent": 1}))},
		{"defaults/two splits of 0", named("default", "n", paths(object{"splits": list{split(nil), split(nil)}}))},
		{"defaults/every path", named("default", "n", paths(
			object{"splits": list{split(nil)}},
			object{"splits": list{split(object{"percent": 40}), split(object{"percent": 60})}},
			object{"splits": list{split(object{"percent": 0})}},
		))},
		{"defaults/rule behind one without http", named("default", "n", object{"rules": list{
			object{"hosts": list{"a"}},
			object{"hosts": list{"b"}, "http": object{"paths": list{object{"splits": list{split(nil)}}}}},
		}})},

		{"faults/every field of a path", named("default", "n", paths(
			object{},
			object{"path": "/a"},
			object{"splits": list{object{}}},
			object{"splits": list{object{"percent": 100}}},
			object{"splits": list{object{"appendHeaders": object{}}}},
			object{"splits": list{split(object{"serviceName": ""})}},
			object{"splits": list{split(object{"serviceNamespace": "other"})}},
			object{"splits": list{split(object{"servicePort": 0})}},
			object{"splits": list{split(object{"servicePort": ""})}},
			object{"splits": list{split(object{"percent": 101})}},
			object{"splits": list{split(object{"percent": -1}), split(object{"percent": 101})}},
			object{"splits": list{split(object{"percent": 50}), split(object{"percent": 49})}},
			object{"splits": list{split(object{"percent": 50}), split(object{"percent": 51})}},
			object{"splits": list{split(object{"percent": 100}), split(object{"percent": 0})}},
			object{"splits": list{split(nil), split(object{"serviceName": "", "percent": 100})}},
		))},
		{"faults/rules", named("default", "n", object{
			"httpOption": "enabled",
			"tls":        list{object{}, object{"hosts": list{}}, object{"hosts": list{"a"}}, object{"secretName": "s"}},
			"rules": list{
				object{}, object{"hosts": list{}}, object{"visibility": "Public"},
				object{"http": object{}}, object{"http": object{"paths": list{}}},
			},
		})},
		{"faults/no rules", named("default", "n", object{"httpOption": "Enabled"})},
		{"faults/lists that are empty", named("default", "n", object{"tls": list{}, "rules": list{}})},

		{"numbers/largest", named("default", "n", with(object{
			"percent": math.MaxInt64, "servicePort": math.MaxInt32,
		}))},
		{"numbers/smallest", named("default", "n", with(object{
			"percent": math.MinInt64, "servicePort": math.MinInt32,
		}))},
	}
	for _, character := range characters() {
		text := string(character)
		objects = append(objects, namedObject{
			fmt.Sprintf("text/U+%04X", character),
			named("default", "n", with(object{"serviceName": text, "appendHeaders": object{text: text}})),
		})
	}
	headers := object{}
	for _, name := range []string{"", "é", "z", "Z", "a", "A", "a-b", "a_b", "aa", "\U0001F600", "\uFFFF", "<", "~", "1"} {
		headers[name] = name
	}
	return append(objects, namedObject{"maps/order of keys", named("default", "n", with(object{"appendHeaders": headers}))})
}

// characters are all of ASCII that an encoder may treat in a way of its own, and
// the edges of every length in UTF-8.
func characters() []rune {
	var found []rune
	for character := range rune(0x80) {
		letter := character|0x20 >= 'a' && character|0x20 <= 'z'
		digit := character >= '0' && character <= '9'
		if !letter && !digit {
			found = append(found, character)
		}
	}
	return append(found,
		0x80, 0x85, 0xA0, 0xAD, 0x7FF, 0x800, 0x2027, 0x2028, 0x2029, 0x202A, 0xD7FF, 0xE000,
		0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF)
}

const apiVersion = "networking.internal.knative.dev/v1alpha1"

func named(namespace, name string, spec any) object {
	return object{
		"apiVersion": apiVersion,
		"kind":       "Ingress",
		"metadata":   object{"namespace": namespace, "name": name},
		"spec":       spec,
	}
}
