//! Faults are those that Knative finds, at the same fields.

use std::collections::BTreeSet;

use super::vectors;
use crate::{FaultKind, FieldFault, Ingress, IntOrString};

#[test]
fn faults_are_those_of_knative() {
    let mut seen = BTreeSet::new();
    for vector in vectors() {
        let stored = vector.ingress();
        assert_eq!(
            knatives(&stored),
            vector.stored_faults,
            "{} as stored",
            vector.case
        );
        let defaulted = stored.defaulted();
        assert_eq!(
            knatives(&defaulted),
            vector.faults,
            "{} defaulted",
            vector.case
        );
        seen.extend(stored.validate().into_iter().map(|fault| fault.kind));
    }
    assert_eq!(
        seen.len(),
        6,
        "some kind of fault occurs in no vector: {seen:?}"
    );
}

/// Our faults in the words and the selection of Knative's: of a path only the
/// first faulty split, and its sum only where no split is faulty.
fn knatives(ingress: &Ingress) -> Vec<String> {
    let faults: Vec<FieldFault> = ingress
        .validate()
        .into_iter()
        .filter(|fault| fault.kind.is_knatives())
        .collect();
    let first = |path: &str| {
        faults
            .iter()
            .find_map(|fault| split_of(&fault.field).filter(|(of, _)| *of == path))
    };
    let mut lines: Vec<String> = faults
        .iter()
        .filter(|fault| match split_of(&fault.field) {
            Some((path, index)) => first(path) == Some((path, index)),
            None => fault
                .field
                .strip_suffix(".splits")
                .and_then(first)
                .is_none(),
        })
        .map(|fault| format!("{}: {}", fault.field, message(fault, ingress)))
        .collect();
    lines.sort();
    lines
}

/// The path that a split belongs to, and which split of it a field is of.
fn split_of(field: &str) -> Option<(&str, &str)> {
    let (path, rest) = field.split_once(".splits[")?;
    Some((path, rest.split_once(']')?.0))
}

fn message(fault: &FieldFault, ingress: &Ingress) -> String {
    match fault.kind {
        FaultKind::Missing => "missing field(s)".into(),
        FaultKind::Invalid if fault.field == "spec.httpOption" => {
            // Ours is quoted and escaped, theirs is raw.
            let option = &ingress.spec.http_option.0;
            assert_eq!(fault.found, format!("{option:?}"));
            format!("invalid value: {option}")
        }
        FaultKind::Invalid => format!("invalid value: {}", fault.found),
        FaultKind::ForeignNamespace => "service namespace must match ingress namespace".into(),
        FaultKind::PercentSum => {
            let sum = fault.found.rsplit(' ').next().unwrap();
            format!("traffic split percentage must total to 100, but was {sum}")
        }
        FaultKind::UnknownVisibility | FaultKind::ImpossiblePort => unreachable!(),
    }
}

fn valid() -> Ingress {
    serde_json::from_value(serde_json::json!({
        "metadata": {"namespace": "default", "name": "hello"},
        "spec": {"rules": [{"hosts": ["a"], "http": {"paths": [{"splits": [
            {"serviceNamespace": "default", "serviceName": "a", "servicePort": 80, "percent": 40},
            {"serviceNamespace": "default", "serviceName": "b", "servicePort": "http", "percent": 60},
        ]}]}}]},
    }))
    .unwrap()
}

fn faults(change: impl FnOnce(&mut Ingress)) -> Vec<String> {
    let mut ingress = valid();
    change(&mut ingress);
    ingress.validate().iter().map(ToString::to_string).collect()
}

fn split(ingress: &mut Ingress, index: usize) -> &mut crate::IngressBackendSplit {
    &mut ingress.spec.rules[0].http.as_mut().unwrap().paths[0].splits[index]
}

#[test]
fn a_fault_names_field_found_and_expected() {
    let at = "spec.rules[0].http.paths[0].splits";
    assert_eq!(faults(|_| ()), [""; 0]);
    assert_eq!(
        faults(|i| split(i, 1).percent = 59),
        [format!(
            "{at}: found percentages that sum to 99, expected percentages that sum to 100"
        )]
    );
    assert_eq!(
        faults(|i| split(i, 1).service_namespace = "other".into()),
        [format!(
            "{at}[1].serviceNamespace: found \"other\", expected the Ingress's namespace \"default\""
        )]
    );
    assert_eq!(
        faults(|i| i.spec.rules[0].http = None),
        ["spec.rules[0].http: found nothing, expected http with at least one path"]
    );
}

#[test]
fn every_faulty_split_is_named() {
    let at = "spec.rules[0].http.paths[0].splits";
    let found = faults(|i| {
        split(i, 0).percent = 101;
        split(i, 1).service_name.clear();
    });
    assert_eq!(
        found,
        [
            format!("{at}[0].percent: found 101, expected a number from 0 to 100"),
            format!("{at}[1].serviceName: found nothing, expected the name of a Service"),
        ]
    );
}

#[test]
fn what_knative_admits_is_marked_as_beyond_it() {
    for port in [
        IntOrString::Int(-1),
        IntOrString::Int(65_536),
        IntOrString::String(String::new()),
    ] {
        let mut ingress = valid();
        split(&mut ingress, 0).service_port = port.clone();
        ingress.spec.rules[0].visibility.0 = "Public".into();
        let kinds: Vec<_> = ingress.validate().iter().map(|fault| fault.kind).collect();
        assert_eq!(
            kinds,
            [FaultKind::UnknownVisibility, FaultKind::ImpossiblePort],
            "{port}"
        );
        assert!(!kinds.iter().any(|kind| kind.is_knatives()));
    }
    for port in [1, 65_535] {
        assert_eq!(
            faults(|i| split(i, 0).service_port = IntOrString::Int(port)),
            [""; 0]
        );
    }
}
