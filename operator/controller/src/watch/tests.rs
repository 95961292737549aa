use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::follow::{Oddities, complaint, take};
use super::relist::Relist;
use super::*;

fn slim<T: slim::Watched>(document: Value) -> Slim<T> {
    serde_json::from_value(document).unwrap()
}

fn service(name: &str) -> Slim<crds::Service> {
    slim(json!({ "metadata": { "namespace": "ns", "name": name, "resourceVersion": "7" } }))
}

/// What the loop is told, in short.
fn told(inputs: &[Input]) -> Vec<String> {
    inputs
        .iter()
        .map(|input| match input {
            Input::Object(object) => format!("+{}", object.key().name),
            Input::ObjectGone(_, key) => format!("-{}", key.name),
            Input::Listed(source) => format!("listed {source}"),
            other => format!("{other:?}"),
        })
        .collect()
}

fn run(relist: &mut Relist, events: Vec<Event<Slim<crds::Service>>>) -> Vec<String> {
    let inputs: Vec<Input> = events
        .into_iter()
        .flat_map(|event| take(Source::Services, event, relist))
        .collect();
    told(&inputs)
}

#[test]
fn what_vanished_in_a_gap_is_told_when_the_list_is_whole() {
    let mut relist = Relist::default();
    let first = vec![
        Event::Init,
        Event::InitApply(service("a")),
        Event::InitApply(service("b")),
        Event::InitDone,
        Event::Apply(service("c")),
    ];
    assert_eq!(
        run(&mut relist, first),
        ["+a", "+b", "listed services", "+c"]
    );
    let page = vec![Event::Init, Event::InitApply(service("b"))];
    assert_eq!(
        run(&mut relist, page),
        ["+b"],
        "nothing is gone before the end"
    );
    let end = vec![Event::InitApply(service("d")), Event::InitDone];
    assert_eq!(run(&mut relist, end), ["+d", "-a", "-c", "listed services"]);
}

#[test]
fn a_list_that_breaks_off_takes_nothing_away_and_is_remembered() {
    let mut relist = Relist::default();
    let first = vec![Event::Init, Event::InitApply(service("a")), Event::InitDone];
    run(&mut relist, first);
    // Two lists break off; the second saw what the first saw in part.
    let broken = vec![
        Event::Init,
        Event::InitApply(service("x")),
        Event::Init,
        Event::InitApply(service("y")),
    ];
    assert_eq!(run(&mut relist, broken), ["+x", "+y"]);
    let whole = vec![Event::Init, Event::InitApply(service("y")), Event::InitDone];
    // x was told of by a list that broke off, and is gone as well.
    assert_eq!(
        run(&mut relist, whole),
        ["+y", "-a", "-x", "listed services"]
    );
}

#[test]
fn what_the_watch_deleted_is_not_deleted_again() {
    let mut relist = Relist::default();
    let events = vec![
        Event::Init,
        Event::InitApply(service("a")),
        Event::InitDone,
        Event::Delete(service("a")),
        Event::Init,
        Event::InitDone,
    ];
    let told = run(&mut relist, events);
    assert_eq!(told, ["+a", "listed services", "-a", "listed services"]);
}

#[test]
fn an_object_that_cannot_be_read_is_skipped_and_still_counts_as_there() {
    let bad = || {
        slim::<crds::Service>(json!({
            "metadata": { "namespace": "ns", "name": "a", "resourceVersion": "8" },
            "spec": { "ports": "many" },
        }))
    };
    let mut relist = Relist::default();
    let first = vec![Event::Init, Event::InitApply(service("a")), Event::InitDone];
    run(&mut relist, first);
    let again = vec![Event::Init, Event::InitApply(bad()), Event::InitDone];
    assert_eq!(
        run(&mut relist, again),
        ["listed services"],
        "what was known stays"
    );
    let mut odd = Oddities::default();
    assert_eq!(odd.tell(Source::Services, &Event::Apply(bad())), 1);
    assert_eq!(
        odd.tell(Source::Services, &Event::Apply(bad())),
        0,
        "told once"
    );
    assert_eq!(odd.tell(Source::Services, &Event::Apply(service("a"))), 0);
    assert_eq!(
        odd.tell(Source::Services, &Event::Apply(bad())),
        1,
        "and anew after a good one"
    );
}

fn ingress(spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        "metadata": {
            "namespace": "ns", "name": "web", "uid": "u-1", "resourceVersion": "12",
            "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {
                CLASS_ANNOTATION: "sluice.ingress.networking.knative.dev",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
            "managedFields": [{ "manager": "controller", "operation": "Update" }],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Route", "name": "web", "uid": "r" }],
            "finalizers": ["ingresses.networking.internal.knative.dev"],
        },
        "spec": spec,
        "status": {
            "observedGeneration": 2,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn seen(document: Value) -> (SeenIngress, Vec<String>) {
    let slim: Slim<StoredIngress> = slim(document);
    let warnings = slim.warnings.clone();
    match slim.into_input(Source::Ingresses) {
        Some(Input::Ingress(seen)) => (*seen, warnings),
        other => panic!("found {other:?}"),
    }
}

#[test]
fn an_ingress_comes_with_its_status_and_without_what_is_not_used() {
    let rules = json!({ "rules": [{ "hosts": ["a.example"], "http": { "paths": [] } }] });
    let (seen, warnings) = seen(ingress(&rules));
    assert_eq!(warnings, [] as [&str; 0]);
    let Stored {
        uid,
        generation,
        resource_version,
        status,
    } = seen.stored;
    assert_eq!(
        (uid.as_str(), generation, resource_version.as_str()),
        ("u-1", 3, "12")
    );
    assert!(status.is_ready(2));
    assert_eq!(seen.ingress.metadata.annotations.len(), 1);
    assert_eq!(seen.ingress.spec.rules.len(), 1);
}

#[test]
fn unknown_fields_are_named_and_refuse_nothing() {
    let (seen, warnings) = seen(ingress(&json!({ "rulez": [], "rules": [] })));
    assert_eq!(seen.stored.generation, 3);
    assert_eq!(
        warnings,
        ["spec.rulez: unknown field; did you mean rules?; it counts for nothing"]
    );
    let many: Value = (0..9)
        .map(|i| (format!("x{i}"), json!(1)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let (_, warnings) = self::seen(ingress(&many));
    assert_eq!(warnings.len(), 5);
    assert_eq!(warnings[4], "and 5 more unknown fields");
    // What counts for nothing does not count in the hash either, as with Go.
    let hash = |spec: Value| self::seen(ingress(&spec)).0.ingress.network_hash();
    let rule = json!({ "hosts": ["a.example"], "http": { "paths": [] } });
    let mut odd = rule.clone();
    odd["http"]["retries"] = json!({ "attempts": 3 });
    assert_eq!(
        hash(json!({ "rules": [odd], "rulez": [] })),
        hash(json!({ "rules": [rule] }))
    );
}

#[test]
fn an_ingress_whose_spec_cannot_be_read_is_there_with_none() {
    let (seen, _) = seen(ingress(&json!({ "rules": "all of them" })));
    assert_eq!(seen.ingress.metadata.generation, 3);
    assert_eq!(seen.ingress.spec, crds::IngressSpec::default());
}

#[test]
fn a_status_that_cannot_be_read_is_none() {
    let mut document = ingress(&json!({}));
    document["status"] = json!({ "conditions": "good" });
    assert_eq!(seen(document).0.stored.status, IngressStatus::default());
}

#[test]
fn a_secret_keeps_its_pair_and_shows_nothing() {
    let document = json!({
        "metadata": {
            "namespace": "ns", "name": "tls", "resourceVersion": "1",
            "annotations": { "last-applied": "cGFzc3dvcmQ=" },
        },
        "type": "kubernetes.io/tls",
        "data": { "tls.crt": "QQ==", "tls.key": "cGFzc3dvcmQ=", "ca.crt": "Qg==" },
    });
    let slim: Slim<crds::Secret> = slim(document);
    assert!(!format!("{slim:?}").contains("cGFzc3dvcmQ"));
    let Some(Input::Object(Object::Secret(secret))) = slim.into_input(Source::Secrets) else {
        panic!("no secret");
    };
    assert_eq!(
        secret.data.keys().collect::<Vec<_>>(),
        ["tls.crt", "tls.key"]
    );
    assert!(secret.metadata.annotations.is_empty());
    assert!(!format!("{secret:?}").contains("cGFzc3dvcmQ"));
}

#[test]
fn of_routing_certificates_the_roots_are_kept_and_no_key() {
    let document = json!({
        "metadata": { "namespace": "knative-serving", "name": "routing-serving-certs" },
        "data": { "tls.crt": "QQ==", "tls.key": "cGFzc3dvcmQ=", "ca.crt": "Qg==" },
    });
    let secret: Slim<RootsSecret> = slim(document);
    let input = secret.into_input(Source::RoutingCertificates);
    let Some(Input::Roots(place, Some(roots))) = input else {
        panic!("no roots");
    };
    assert_eq!(
        place.key.to_string(),
        "knative-serving/routing-serving-certs"
    );
    assert_eq!(roots, Roots::from([("ca.crt".to_owned(), b"B".to_vec())]));
    // As it is made, before anything is issued.
    let empty: Slim<RootsSecret> = slim(json!({ "metadata": { "name": "a" } }));
    let input = empty.into_input(Source::RoutingCertificates);
    assert!(matches!(input, Some(Input::Roots(_, Some(roots))) if roots.is_empty()));
    let odd: Slim<RootsSecret> = slim(json!({
        "metadata": { "name": "a" }, "data": { "ca.crt": "cGFzc3dvcmQ" },
    }));
    assert!(
        odd.warnings[0].contains("data[ca.crt]"),
        "{:?}",
        odd.warnings
    );
    assert!(odd.into_input(Source::RoutingCertificates).is_none());
}

#[test]
fn every_entry_of_a_bundle_may_hold_roots() {
    let bundle: Slim<TrustBundle> = slim(json!({
        "metadata": { "namespace": "knative-serving", "name": "more" },
        "data": { "one.pem": "A", "two": "B" },
    }));
    let Some(Input::Roots(place, Some(roots))) = bundle.into_input(Source::TrustBundles) else {
        panic!("no roots");
    };
    assert_eq!(place.source, Source::TrustBundles);
    assert_eq!(roots.keys().collect::<Vec<_>>(), ["one.pem", "two"]);
}

#[test]
fn a_secret_that_cannot_be_read_is_not_quoted() {
    let slim: Slim<crds::Secret> = slim(json!({
        "metadata": { "namespace": "ns", "name": "tls", "labels": "password" },
        "data": "password",
    }));
    assert_eq!(
        slim.warnings,
        ["cannot be read, what was known before it stays"]
    );
}

#[test]
fn gateways_are_pods_with_their_conditions() {
    let endpoint = |name: &str, ip: &str, conditions: Value| {
        json!({
            "addresses": [ip], "conditions": conditions,
            "targetRef": { "kind": "Pod", "namespace": "sluice-system", "name": name },
        })
    };
    let document = json!({
        "metadata": { "namespace": "sluice-system", "name": "s-1", "resourceVersion": "1" },
        "addressType": "IPv4",
        "endpoints": [
            endpoint("a", "10.0.0.1", json!({})),
            endpoint("b", "10.0.0.2", json!({ "ready": false, "serving": true, "terminating": true })),
            endpoint("c", "not an address", json!({ "ready": true })),
            { "addresses": ["10.0.0.4"] },
        ],
    });
    let slim: Slim<GatewaySlice> = slim(document);
    let Some(Input::GatewaySlice(key, Some(gateways))) = slim.into_input(Source::Gateways) else {
        panic!("no slice");
    };
    assert_eq!(key, ObjectKey::new("sluice-system", "s-1"));
    let short: Vec<_> = gateways
        .iter()
        .map(|gateway| (gateway.node.as_str(), gateway.ready, gateway.terminating))
        .collect();
    assert_eq!(
        short,
        [
            ("sluice-system/a", true, false),
            ("sluice-system/b", false, true)
        ]
    );
    let empty: Slim<GatewaySlice> = self::slim(json!({
        "metadata": { "name": "s-2" }, "endpoints": null,
    }));
    let input = empty.into_input(Source::Gateways);
    assert!(matches!(input, Some(Input::GatewaySlice(_, Some(gateways))) if gateways.is_empty()));
}

#[test]
fn versions_tell_what_is_older_as_far_as_they_are_numbers() {
    let at = |uid: &str, version: &str| Stored {
        uid: uid.into(),
        resource_version: version.into(),
        ..Stored::default()
    };
    assert!(at("u", "9").is_older_than(&at("u", "10")));
    assert!(!at("u", "10").is_older_than(&at("u", "10")));
    assert!(
        !at("v", "9").is_older_than(&at("u", "10")),
        "another object"
    );
    assert!(!at("u", "a").is_older_than(&at("u", "b")), "not numbers");
}

#[test]
fn a_complaint_names_the_resource_and_what_to_do() {
    let refused = |code: u16| {
        let status: kube::core::Status = serde_json::from_value(
            json!({ "status": "Failure", "code": code, "message": "says so" }),
        )
        .unwrap();
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    };
    assert_eq!(
        complaint(Source::Secrets, &refused(403)),
        "cannot list secrets: found 403, expected the right to; grant get, list and watch on \
         secrets (secrets) to sluice's service account: says so"
    );
    assert_eq!(
        complaint(Source::Ingresses, &refused(404)),
        "cannot list ingresses.networking.internal.knative.dev: found 404, expected this \
         resource; install the CustomResourceDefinitions of Knative Serving"
    );
    assert_eq!(
        complaint(Source::Services, &refused(500)),
        "cannot list services: 500 says so"
    );
    let broken = serde_json::from_str::<Value>("{\"tls.key\": \"cGFz").unwrap_err();
    let broken = watcher::Error::WatchFailed(kube::Error::SerdeError(broken));
    assert!(!complaint(Source::Secrets, &broken).contains("cGFz"));
}
