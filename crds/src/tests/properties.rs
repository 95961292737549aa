//! Whatever the input: no panic, and reading and writing agree.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    EndpointSlice, Endpoints, HeaderMatch, HttpIngressPath, HttpIngressRuleValue, HttpOption,
    Ingress, IngressBackendSplit, IngressRule, IngressSpec, IngressTls, IntOrString, Kind, List,
    ObjectMeta, Secret, Service, Visibility, unknown_fields,
};

/// Text that likes markup, line separators and control characters.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z.]{1,8}",
        "[<>&\u{2028}\u{2029}\\x00-\\x1f\"\\\\é😀a]{0,6}",
        any::<String>()
    ]
}

fn port() -> impl Strategy<Value = IntOrString> {
    prop_oneof![
        any::<i32>().prop_map(IntOrString::Int),
        text().prop_map(IntOrString::String)
    ]
}

fn list<T: std::fmt::Debug>(element: impl Strategy<Value = T>) -> impl Strategy<Value = List<T>> {
    option::of(vec(element, 0..3)).prop_map(|elements| elements.map(List::from).unwrap_or_default())
}

fn split() -> impl Strategy<Value = IngressBackendSplit> {
    (
        text(),
        text(),
        port(),
        prop_oneof![0_i64..=100, any::<i64>()],
        btree_map(text(), text(), 0..3),
    )
        .prop_map(
            |(service_namespace, service_name, service_port, percent, append_headers)| {
                IngressBackendSplit {
                    service_namespace,
                    service_name,
                    service_port,
                    percent,
                    append_headers,
                }
            },
        )
}

fn path() -> impl Strategy<Value = HttpIngressPath> {
    let header = text().prop_map(|exact| HeaderMatch { exact });
    (
        text(),
        text(),
        btree_map(text(), header, 0..3),
        list(split()),
        btree_map(text(), text(), 0..3),
    )
        .prop_map(
            |(path, rewrite_host, headers, splits, append_headers)| HttpIngressPath {
                path,
                rewrite_host,
                headers,
                splits,
                append_headers,
            },
        )
}

fn rule() -> impl Strategy<Value = IngressRule> {
    let http = list(path()).prop_map(|paths| HttpIngressRuleValue { paths });
    (vec(text(), 0..3), text(), option::of(http)).prop_map(|(hosts, visibility, http)| {
        IngressRule {
            hosts,
            visibility: Visibility(visibility),
            http,
        }
    })
}

fn ingress() -> impl Strategy<Value = Ingress> {
    let tls =
        (vec(text(), 0..3), text(), text()).prop_map(|(hosts, secret_name, secret_namespace)| {
            IngressTls {
                hosts,
                secret_name,
                secret_namespace,
            }
        });
    (text(), text(), vec(tls, 0..3), vec(rule(), 0..3), text()).prop_map(
        |(name, namespace, tls, rules, http_option)| Ingress {
            metadata: ObjectMeta {
                name,
                namespace,
                ..ObjectMeta::default()
            },
            spec: IngressSpec {
                tls,
                rules,
                http_option: HttpOption(http_option),
            },
        },
    )
}

/// Any JSON, its names mostly those that the kinds have.
fn document() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "metadata",
        "spec",
        "rules",
        "http",
        "paths",
        "splits",
        "servicePort",
        "percent",
        "headers",
        "exact",
        "hosts",
        "tls",
        "ports",
        "port",
        "targetPort",
        "subsets",
        "addresses",
        "endpoints",
        "conditions",
        "data",
        "stringData",
        "type",
        "labels",
        "creationTimestamp",
        "generation",
        "zzz",
    ]);
    let name = prop_oneof![4 => names.prop_map(str::to_owned), 1 => text()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
        Just(Value::from("2026-01-02T03:04:05Z")),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(name.clone(), inner, 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Reads, and where that succeeds writes and reads again: the same comes out.
fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    document: &Value,
) -> Option<T> {
    let read: T = serde_json::from_value(document.clone()).ok()?;
    let written = serde_json::to_value(&read).unwrap();
    let again: T = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(again, read);
    assert_eq!(serde_json::to_value(&again).unwrap(), written);
    Some(read)
}

proptest! {
    #[test]
    fn an_ingress_written_and_read_is_the_same(ingress in ingress()) {
        let written = serde_json::to_string(&ingress).unwrap();
        let read: Ingress = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(&read, &ingress);
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), written);
        prop_assert_eq!(read.network_hash(), ingress.network_hash());
    }

    #[test]
    fn go_json_means_what_serde_writes(ingress in ingress()) {
        let json = ingress.spec.go_json();
        prop_assert_eq!(
            serde_json::from_str::<Value>(&json).unwrap(),
            serde_json::to_value(&ingress.spec).unwrap()
        );
        let raw = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}');
        prop_assert!(!json.contains(raw), "not escaped: {}", json);
        prop_assert_eq!(serde_json::from_str::<IngressSpec>(&json).unwrap(), ingress.spec);
    }

    #[test]
    fn defaults_heal_no_fault_but_those_they_fill(ingress in ingress()) {
        let defaulted = ingress.defaulted();
        prop_assert_eq!(&defaulted.defaulted(), &defaulted);
        prop_assert_eq!(ingress.validate().is_empty(), defaulted.validate().is_empty());
        let hash = ingress.network_hash();
        prop_assert_eq!(hash.len(), 64);
        prop_assert!(hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }

    #[test]
    fn no_document_makes_a_reader_panic(document in document()) {
        for kind in Kind::ALL {
            for field in unknown_fields(kind, &document) {
                prop_assert!(!field.path.is_empty() || document.get("").is_some());
            }
        }
        if let Some(ingress) = reads_back::<Ingress>(&document) {
            prop_assert!(ingress.validate().iter().all(|fault| fault.field.starts_with("spec")));
            prop_assert_eq!(ingress.network_hash(), ingress.defaulted().network_hash());
        }
        reads_back::<Service>(&document);
        reads_back::<Endpoints>(&document);
        reads_back::<EndpointSlice>(&document);
        if let Some(secret) = reads_back::<Secret>(&document) {
            for key in secret.data.keys() {
                let _ = secret.bytes(key);
            }
        }
    }
}
