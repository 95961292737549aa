package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"knative.dev/networking/pkg/apis/networking/v1alpha1"
)

var marshaler = reflect.TypeFor[json.Marshaler]()

// unread are fields whose insides are not listed: Sluice reads nothing there, and
// newer versions of Kubernetes may add to them.
var unread = []string{
	"metadata.managedFields",
	"Service status",
	"spec.sessionAffinityConfig",
	".targetRef",
	".hints",
}

// fieldLines lists every field as "Kind path", the elements of a list as [] and
// the values of a map as *.
func fieldLines() []byte {
	var out bytes.Buffer
	for _, kind := range []struct {
		name string
		of   reflect.Type
	}{
		{"Ingress", reflect.TypeFor[v1alpha1.Ingress]()},
		{"Service", reflect.TypeFor[corev1.Service]()},
		{"Endpoints", reflect.TypeFor[corev1.Endpoints]()},
		{"EndpointSlice", reflect.TypeFor[discoveryv1.EndpointSlice]()},
		{"Secret", reflect.TypeFor[corev1.Secret]()},
	} {
		listFields(&out, kind.name+" ", kind.of)
	}
	return out.Bytes()
}

func listFields(out *bytes.Buffer, at string, of reflect.Type) {
	// What writes its own JSON is one value, whatever it is made of.
	if of.Implements(marshaler) || reflect.PointerTo(of).Implements(marshaler) {
		return
	}
	switch of.Kind() {
	case reflect.Pointer:
		listFields(out, at, of.Elem())
	case reflect.Slice:
		listFields(out, strings.TrimSuffix(at, ".")+"[].", of.Elem())
	case reflect.Map:
		listFields(out, at+"*.", of.Elem())
	case reflect.Struct:
		for i := range of.NumField() {
			field := of.Field(i)
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case name == "-" || !field.IsExported():
			case name == "" && (field.Anonymous || options == "inline"):
				listFields(out, at, field.Type)
			default:
				path := at + name
				fmt.Fprintln(out, path)
				isUnread := func(end string) bool { return strings.HasSuffix(path, end) }
				if !slices.ContainsFunc(unread, isUnread) {
					listFields(out, path+".", field.Type)
				}
			}
		}
	}
}
