//! JSON, defaults and hash are Go's, to the byte.

use super::vectors;
use crate::{HttpOption, Ingress, hash};

/// Every vector that Knative's own library wrote.
#[test]
fn json_and_hash_are_those_of_go() {
    let vectors = vectors();
    let pairs = vectors
        .iter()
        .filter(|v| v.case.starts_with("pairs/"))
        .count();
    assert!(
        pairs >= 300,
        "{pairs} rows are too few for all pairs to have met"
    );
    for vector in &vectors {
        let ingress = vector.ingress();
        assert_eq!(
            ingress.defaulted().spec.go_json(),
            vector.json,
            "{}",
            vector.case
        );
        assert_eq!(ingress.network_hash(), vector.hash, "{}", vector.case);
    }
}

#[test]
fn defaulting_again_changes_nothing() {
    for vector in vectors() {
        let once = vector.ingress().defaulted();
        assert_eq!(once.defaulted(), once, "{}", vector.case);
        assert_eq!(once.network_hash(), vector.hash, "{}", vector.case);
    }
}

/// What serde writes differs from Go's bytes in escapes alone.
#[test]
fn serde_writes_the_same_document() {
    for vector in vectors() {
        let spec = vector.ingress().defaulted().spec;
        assert_eq!(
            serde_json::to_string(&spec).unwrap(),
            unescaped(&vector.json),
            "{}",
            vector.case
        );
    }
}

fn unescaped(json: &str) -> String {
    [
        ("\\u003c", "<"),
        ("\\u003e", ">"),
        ("\\u0026", "&"),
        ("\\u2028", "\u{2028}"),
        ("\\u2029", "\u{2029}"),
    ]
    .iter()
    .fold(json.to_owned(), |json, (escaped, raw)| {
        json.replace(escaped, raw)
    })
}

/// Worked out by hand once, apart from the file: the conformance suite's own shape.
#[test]
fn conformance_shape_hashes_as_known() {
    let json = r#"{"rules":[{"hosts":["hello.example.com"],"visibility":"ExternalIP","http":{"paths":[{"splits":[{"serviceNamespace":"serving-tests","serviceName":"hello","servicePort":80,"percent":100}]}]}}],"httpOption":"Enabled"}"#;
    let mut ingress = Ingress {
        spec: serde_json::from_str(json).unwrap(),
        ..Ingress::default()
    };
    ingress.metadata.namespace = "serving-tests".into();
    ingress.metadata.name = "hello".into();
    assert_eq!(ingress.spec.go_json(), json);
    assert_eq!(
        ingress.network_hash(),
        "9cb0ed5d832392597ed79e8cab630e2badb6245dcae123eaa00bc64d5cd2b918"
    );
}

/// Likewise with every field, escapes, and no defaults filled in: a split without
/// percent, which is why the hash is taken of the spec as it is.
#[test]
fn every_field_hashes_as_known() {
    let json = r#"{"tls":[{"hosts":["a.b"],"secretName":"s","secretNamespace":"ns"}],"rules":[{"hosts":["a.b"],"visibility":"ClusterLocal","http":{"paths":[{"path":"/x?\u003c\u0026\u003e","rewriteHost":"r.h","headers":{"A":{"exact":"2"},"Z":{"exact":"1"}},"splits":[{"serviceNamespace":"ns","serviceName":"svc","servicePort":"http","appendHeaders":{"a":"\u003c","b":"é"}}],"appendHeaders":{"K":"v"}}]}}]}"#;
    let spec = serde_json::from_str(json).unwrap();
    assert_eq!(
        hash::hash(&spec, "ns", "n"),
        "617fd59d993ff457d894fecea37ad7730a4ad331809f28adca9c4766604ad5a5"
    );
    assert_eq!(spec.go_json(), json);
}

#[test]
fn http_option_unset_serves_plain_http_and_stays_unset() {
    let mut ingress = Ingress::default();
    ingress.set_defaults();
    assert!(!ingress.spec.http_option.redirects());
    assert!(ingress.spec.http_option.is_unset());
    assert!(HttpOption("Redirected".into()).redirects());
}
