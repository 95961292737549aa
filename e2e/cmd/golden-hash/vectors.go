package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"

	"knative.dev/networking/pkg/apis/networking/v1alpha1"
	"knative.dev/networking/pkg/client/clientset/versioned/scheme"
	"knative.dev/networking/pkg/ingress"
)

// ingressVector is one object, and what Go makes of it.
type ingressVector struct {
	Case string `json:"case"`
	// Ingress is the object as an API server would send it.
	Ingress any `json:"ingress"`
	// StoredFaults are those of the object as it is, Faults those after defaulting.
	StoredFaults []string `json:"storedFaults"`
	Faults       []string `json:"faults"`
	// JSON is the spec after defaulting, byte for byte what is hashed.
	JSON string `json:"json"`
	Hash string `json:"hash"`
}

func ingressVectors() ([]ingressVector, error) {
	var vectors []ingressVector
	for _, object := range append(namedObjects(), pairedObjects()...) {
		vector, err := object.vector()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object.name, err)
		}
		vectors = append(vectors, vector)
	}
	return vectors, nil
}

// namedObject is an Ingress before it is decoded.
type namedObject struct {
	name    string
	ingress any
}

// vector decodes as a controller's watch does (with the codecs of Knative's
// client, which tell Percent from percent), and hashes as a controller does.
func (o namedObject) vector() (ingressVector, error) {
	document, err := json.Marshal(o.ingress)
	if err != nil {
		return ingressVector{}, err
	}
	var decoded v1alpha1.Ingress
	if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, &decoded); err != nil {
		return ingressVector{}, err
	}
	stored := faults(&decoded)
	setDefaults(&decoded)
	spec, err := json.Marshal(decoded.Spec)
	if err != nil {
		return ingressVector{}, err
	}
	hash, err := ingress.ComputeHash(&decoded)
	if err != nil {
		return ingressVector{}, err
	}
	return ingressVector{
		Case:         o.name,
		Ingress:      o.ingress,
		StoredFaults: stored,
		Faults:       faults(&decoded),
		JSON:         string(spec),
		Hash:         hex.EncodeToString(hash[:]),
	}, nil
}

// setDefaults is Knative's own, rule by rule: it panics at a rule without http,
// after that rule's visibility is set, and the rules behind it would be skipped.
func setDefaults(ing *v1alpha1.Ingress) {
	for i := range ing.Spec.Rules {
		rule := &ing.Spec.Rules[i]
		func() {
			defer func() {
				if fault := recover(); fault != nil && rule.HTTP != nil {
					panic(fault)
				}
			}()
			rule.SetDefaults(context.Background())
		}()
	}
	for i := range ing.Spec.TLS {
		ing.Spec.TLS[i].SetDefaults(context.Background())
	}
}

// faults are Knative's own, one per field: "path: message".
func faults(ing *v1alpha1.Ingress) []string {
	found := []string{}
	for _, fault := range ing.Validate(context.Background()).WrappedErrors() {
		for _, path := range fault.Paths {
			found = append(found, path+": "+fault.Message)
		}
	}
	sort.Strings(found)
	return found
}

// base64Vector is one value of a Secret's data.
type base64Vector struct {
	Case string `json:"case"`
	Text string `json:"text"`
	// Hex is what the text decodes to; absent where it does not.
	Hex *string `json:"hex,omitempty"`
}

func base64Vectors() []base64Vector {
	line := base64.StdEncoding.EncodeToString([]byte("a certificate is longer than this"))
	vectors := []base64Vector{
		{Case: "empty", Text: ""},
		{Case: "one line", Text: line},
		{Case: "folded", Text: line[:16] + "\n" + line[16:32] + "\r\n" + line[32:] + "\n"},
		{Case: "one byte", Text: "/w=="},
		{Case: "two bytes", Text: "//8="},
		{Case: "bits left over", Text: "/x=="},
		{Case: "line end inside the padding", Text: "/w=\n="},
		{Case: "line end only", Text: "\n"},
		{Case: "no padding", Text: "/w"},
		{Case: "half of the padding", Text: "/w="},
		{Case: "too much padding", Text: "/w==="},
		{Case: "padding inside", Text: "/w==/w=="},
		{Case: "padding only", Text: "===="},
		{Case: "alphabet of URLs", Text: "__8="},
		{Case: "space", Text: "/w ="},
		{Case: "tab", Text: "\t/w=="},
		{Case: "one letter", Text: "A"},
		{Case: "plain text", Text: "-----BEGIN CERTIFICATE-----"},
		{Case: "not ASCII", Text: "é"},
	}
	for i := range vectors {
		document, _ := json.Marshal(map[string]string{"value": vectors[i].Text})
		var decoded struct {
			Value []byte `json:"value"`
		}
		if err := json.Unmarshal(document, &decoded); err == nil {
			text := hex.EncodeToString(decoded.Value)
			vectors[i].Hex = &text
		}
	}
	return vectors
}
