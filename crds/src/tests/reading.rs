//! Reading: `null` as Go reads it, in every field of every kind; ports; lists.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{EndpointSlice, Endpoints, Ingress, List, Secret, Service};

/// Puts `null` in the place of one value after the other, at every depth.
fn each_value_null(value: &Value, check: &mut dyn FnMut(&Value)) {
    fn at(whole: &Value, pointer: &str, check: &mut dyn FnMut(&Value)) {
        let here = whole.pointer(pointer).unwrap();
        let below: Vec<String> = match here {
            Value::Object(entries) => entries.keys().cloned().collect(),
            Value::Array(elements) => (0..elements.len()).map(|index| index.to_string()).collect(),
            _ => Vec::new(),
        };
        for step in below {
            let pointer = format!("{pointer}/{step}");
            let mut changed = whole.clone();
            *changed.pointer_mut(&pointer).unwrap() = Value::Null;
            check(&changed);
            at(whole, &pointer, check);
        }
    }
    at(value, "", check);
}

fn reads_with_null_anywhere<T: Serialize + DeserializeOwned>(full: &Value) {
    let read: T = serde_json::from_value(full.clone()).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(&written, full, "the document does not set every field");
    let mut count = 0;
    each_value_null(full, &mut |changed| {
        count += 1;
        if let Err(error) = serde_json::from_value::<T>(changed.clone()) {
            panic!("{error}: {changed}");
        }
    });
    assert!(count > 10, "{count} places");
}

fn metadata() -> Value {
    json!({
        "name": "n", "namespace": "default", "labels": {"a": "b"}, "annotations": {"c": "d"},
        "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z",
        "deletionTimestamp": "2026-01-02T03:04:05Z",
    })
}

#[test]
fn null_stands_anywhere() {
    reads_with_null_anywhere::<Ingress>(&json!({"metadata": metadata(), "spec": {
        "tls": [{"hosts": ["a"], "secretName": "s", "secretNamespace": "default"}],
        "rules": [{"hosts": ["a"], "visibility": "ClusterLocal", "http": {"paths": [{
            "path": "/", "rewriteHost": "b", "headers": {"k": {"exact": "v"}},
            "splits": [{
                "serviceNamespace": "default", "serviceName": "s", "servicePort": "http",
                "percent": 100, "appendHeaders": {"k": "v"},
            }],
            "appendHeaders": {"k": "v"},
        }]}}],
        "httpOption": "Enabled",
    }}));
    reads_with_null_anywhere::<Service>(&json!({"metadata": metadata(), "spec": {
        "type": "ClusterIP",
        "ports": [{
            "name": "http", "port": 80, "targetPort": 8080, "appProtocol": "kubernetes.io/h2c",
            "protocol": "TCP",
        }],
        "externalName": "e",
    }}));
    reads_with_null_anywhere::<Endpoints>(&json!({"metadata": metadata(), "subsets": [{
        "addresses": [{"ip": "10.0.0.1"}],
        "notReadyAddresses": [{"ip": "10.0.0.2"}],
        "ports": [{"name": "http", "port": 8080}],
    }]}));
    reads_with_null_anywhere::<EndpointSlice>(&json!({
        "metadata": metadata(),
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
        }],
        "ports": [{"name": "http", "port": 8080}],
    }));
    reads_with_null_anywhere::<Secret>(&json!({
        "metadata": metadata(), "type": "kubernetes.io/tls",
        "data": {"tls.crt": "AA=="}, "stringData": {"tls.key": "k"},
    }));
}

/// An API server writes an EndpointSlice without endpoints so.
#[test]
fn slice_without_endpoints_is_empty() {
    let slice: EndpointSlice =
        serde_json::from_value(json!({"endpoints": null, "ports": null})).unwrap();
    assert_eq!(slice, EndpointSlice::default());
}

#[test]
fn a_list_knows_whether_it_is_there() {
    let read = |text: &str| serde_json::from_str::<List<String>>(text).unwrap();
    assert!(read("null").is_absent());
    assert!(!read("[]").is_absent());
    assert!(List::<String>::default().is_absent());
    assert!(!List::from(Vec::<String>::new()).is_absent());

    let mut list = List::<String>::default();
    assert!(list.iter_mut().next().is_none());
    assert!(list.is_absent(), "nothing was put in");
    list.push("a".into());
    assert!(!list.is_absent());
    assert_eq!(list, List::from_iter(["a".to_owned()]));
}

#[test]
fn a_port_says_what_it_may_be() {
    let error = |text: &str| {
        serde_json::from_str::<crate::IntOrString>(text)
            .unwrap_err()
            .to_string()
    };
    for (text, found) in [
        ("2147483648", "invalid value: integer `2147483648`"),
        ("-2147483649", "invalid value: integer `-2147483649`"),
        ("80.0", "invalid type: floating point `80.0`"),
        ("true", "invalid type: boolean `true`"),
        ("[80]", "invalid type: sequence"),
    ] {
        let error = error(text);
        let expected = format!("{found}, expected a port number or a port name");
        assert!(error.starts_with(&expected), "{error}");
    }
}

/// So that an error tells the number 80 from the name "80".
#[test]
fn a_port_name_shows_in_quotes() {
    assert_eq!(crate::IntOrString::Int(80).to_string(), "80");
    assert_eq!(
        crate::IntOrString::String("80".into()).to_string(),
        "\"80\""
    );
}
