//! Fields that a kind does not have are found, and no others.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::vectors;
use crate::{Kind, unknown_fields};

fn unknown(kind: Kind, document: &Value) -> Vec<String> {
    unknown_fields(kind, document)
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// As `kubectl get -o yaml` shows it.
fn metadata() -> Value {
    json!({
        "name": "n", "generateName": "n-", "namespace": "default", "uid": "u", "resourceVersion": "1",
        "selfLink": "s", "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z",
        "deletionTimestamp": null, "deletionGracePeriodSeconds": 0,
        "labels": {"example.com/any": "name"}, "annotations": {"example.com/any": "name"},
        "ownerReferences": [{
            "apiVersion": "v1", "kind": "K", "name": "o", "uid": "u", "controller": true,
            "blockOwnerDeletion": true,
        }],
        "finalizers": ["f"],
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:any": {}}}, "later": 1}],
    })
}

fn document(kind: Kind) -> Value {
    let mut document = match kind {
        Kind::Ingress => json!({
            "spec": {
                "tls": [{"hosts": ["a"], "secretName": "s", "secretNamespace": "default"}],
                "rules": [{"hosts": ["a"], "visibility": "ClusterLocal", "http": {"paths": [{
                    "path": "/", "rewriteHost": "b", "headers": {"k": {"exact": "v"}},
                    "splits": [{
                        "serviceNamespace": "default", "serviceName": "s", "servicePort": 80,
                        "percent": 100, "appendHeaders": {"k": "v"},
                    }],
                    "appendHeaders": {"k": "v"},
                }]}}],
                "httpOption": "Enabled",
            },
            "status": {
                "observedGeneration": 1, "annotations": {"k": "v"},
                "conditions": [{
                    "type": "Ready", "status": "True", "severity": "", "reason": "", "message": "",
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                }],
                "publicLoadBalancer": {"ingress": [{"ip": "", "domain": "", "domainInternal": "", "meshOnly": false}]},
                "privateLoadBalancer": {"ingress": [{"domainInternal": "d"}]},
            },
        }),
        Kind::Service => json!({
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
                "selector": {"app": "a"}, "sessionAffinity": "None", "externalName": "",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}},
                "publishNotReadyAddresses": false, "allocateLoadBalancerNodePorts": true,
                "ports": [{
                    "name": "http", "port": 80, "targetPort": 8080, "nodePort": 30000, "protocol": "TCP",
                    "appProtocol": "kubernetes.io/h2c",
                }],
            },
            "status": {"loadBalancer": {}, "addedLater": {"a": 1}},
        }),
        Kind::Endpoints => json!({"subsets": [{
            "addresses": [{"ip": "10.0.0.1", "hostname": "h", "nodeName": "n", "targetRef": {"kind": "Pod", "addedLater": 1}}],
            "notReadyAddresses": [{"ip": "10.0.0.2"}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}],
        }]}),
        Kind::EndpointSlice => json!({
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": ["10.0.0.1"], "hostname": "h", "nodeName": "n", "zone": "z",
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod"}, "hints": {"forZones": [{"name": "z"}], "addedLater": 1},
                "deprecatedTopology": {"any": "name"},
            }],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}],
        }),
        Kind::Secret => json!({
            "type": "kubernetes.io/tls", "immutable": true,
            "data": {"tls.crt": "AA=="}, "stringData": {"any": "name"},
        }),
    };
    document["apiVersion"] = kind.api_version().into();
    document["kind"] = kind.to_string().into();
    document["metadata"] = metadata();
    document
}

#[test]
fn whole_objects_have_no_unknown_field() {
    for kind in Kind::ALL {
        assert_eq!(unknown(kind, &document(kind)), [""; 0], "{kind}");
    }
}

/// At every place where a document has named fields, one more is found.
#[test]
fn a_field_too_many_is_found_wherever_fields_have_names() {
    // Whose insides are free: names there are the user's, or nothing is read.
    let free = [
        "labels",
        "annotations",
        "managedFields",
        "appendHeaders",
        "headers",
        "selector",
        "data",
        "stringData",
        "targetRef",
        "hints",
        "deprecatedTopology",
        "sessionAffinityConfig",
    ];
    for kind in Kind::ALL {
        let whole = document(kind);
        let mut places = 0;
        each_object(&whole, "", &mut |pointer| {
            let mut steps = pointer.split('/').skip(1);
            let last = pointer.rsplit('/').next().unwrap();
            let inside_a_match = pointer.ends_with("/headers/k");
            let is_free = steps.any(|step| free.contains(&step)) && !inside_a_match
                || kind != Kind::Ingress && pointer.starts_with("/status");
            let mut changed = whole.clone();
            let object = changed.pointer_mut(pointer).unwrap();
            object["zzzz"] = json!(1);
            let expected = if is_free { 0 } else { 1 };
            let found = unknown(kind, &changed);
            assert_eq!(found.len(), expected, "{kind} {pointer} {last}: {found:?}");
            places += expected;
        });
        assert!(places >= 3, "{kind}: {places}");
    }
}

fn each_object(value: &Value, pointer: &str, check: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(entries) => {
            check(pointer);
            for (name, value) in entries {
                let step = name.replace('~', "~0").replace('/', "~1");
                each_object(value, &format!("{pointer}/{step}"), check);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                each_object(element, &format!("{pointer}/{index}"), check);
            }
        }
        _ => {}
    }
}

#[test]
fn a_path_leads_to_the_field_and_a_near_name_is_offered() {
    let document = json!({
        "apiversion": "v1",
        "metadata": {"lables": {}, "example.com/team": "x"},
        "spec": {
            "httpoption": "Enabled",
            "rules": [{}, {"hsots": [], "http": {"paths": [{"headers": {"X-A": {"regex": "a"}, "a.b": {"excat": ""}}, "weight": 3}]}}],
        },
    });
    assert_eq!(
        unknown(Kind::Ingress, &document),
        [
            "apiversion: unknown field; did you mean apiVersion?",
            "metadata.lables: unknown field; did you mean labels?",
            "metadata[example.com/team]: unknown field",
            "spec.httpoption: unknown field; did you mean httpOption?",
            "spec.rules[1].hsots: unknown field; did you mean hosts?",
            "spec.rules[1].http.paths[0].headers.X-A.regex: unknown field",
            "spec.rules[1].http.paths[0].headers[a.b].excat: unknown field; did you mean exact?",
            "spec.rules[1].http.paths[0].weight: unknown field",
        ]
    );
}

#[test]
fn another_shape_is_left_to_the_reader() {
    for spec in [
        json!(null),
        json!([]),
        json!(["rules"]),
        json!("rules"),
        json!({"rules": {"hosts": 1}}),
    ] {
        assert_eq!(unknown(Kind::Ingress, &json!({"spec": spec})), [""; 0]);
    }
}

/// The vectors have such fields beside every field of the API, and Go read past
/// all of them.
#[test]
fn fields_that_go_reads_past_are_found_in_the_vectors() {
    let mut found = BTreeMap::new();
    for vector in vectors() {
        for field in unknown_fields(Kind::Ingress, &vector.ingress) {
            let name = field.path.rsplit('.').next().unwrap().to_owned();
            *found.entry(name).or_insert(0) += 1;
        }
    }
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "Exact",
            "HTTP",
            "Hosts",
            "Path",
            "Paths",
            "Percent",
            "Rules",
            "Splits",
            "TLS",
            "httpoption",
            "retries",
            "servicename",
        ]
    );
    assert!(found.values().all(|count| *count > 100), "{found:?}");
}
