//! What gateways are told while a public Service has nobody behind it.

use serde_json::json;
use sluice_translate::ObjectKind;
use tokio::time::{Duration, advance};

use super::tests::{Bench, ours};
use super::*;

fn endpoints(namespace: &str, name: &str, addresses: &[&str]) -> Input {
    let addresses: Vec<_> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
    let subsets = if addresses.is_empty() {
        json!([])
    } else {
        json!([{ "addresses": addresses, "ports": [{ "name": "http", "port": 8012 }] }])
    };
    let endpoints = json!({
        "metadata": { "namespace": namespace, "name": name }, "subsets": subsets,
    });
    Input::Object(Object::Endpoints(
        serde_json::from_value(endpoints).unwrap(),
    ))
}

/// A public Service that leads to `behind`, beside activators at 10.2.0.1 and 10.2.0.2.
fn served_by(behind: &[&str]) -> Bench {
    let mut bench = Bench::open();
    let service = json!({
        "metadata": {
            "namespace": "ns", "name": "app",
            "labels": { "networking.internal.knative.dev/serviceType": "Public" },
        },
        "spec": { "ports": [{ "name": "http", "port": 80 }] },
    });
    bench.control.take(Input::Object(Object::Service(
        serde_json::from_value(service).unwrap(),
    )));
    let activators = ["10.2.0.1", "10.2.0.2"];
    bench.control.take(endpoints(
        "knative-serving",
        "activator-service",
        &activators,
    ));
    bench.control.take(endpoints("ns", "app", behind));
    bench.take(ours(1));
    bench.settle();
    bench
}

/// How many addresses gateways were told last.
fn told(bench: &Bench) -> usize {
    let published = bench.published();
    let last = published
        .iter()
        .rev()
        .find_map(|changes| changes.endpoints.values().next());
    last.map_or(0, |endpoints| endpoints.addresses.len())
}

/// An end that has passed, where nothing is released yet, would come again at once and
/// for ever.
#[tokio::test(start_paused = true)]
async fn nothing_ends_before_everything_is_listed() {
    let mut bench = served_by(&["10.2.0.1"]);
    bench.control.take(endpoints("ns", "app", &[]));
    assert!(bench.control.next_end().is_some());
    bench.control.listed.remove(&Source::Services);
    assert_eq!(bench.control.next_end(), None);
}

#[tokio::test(start_paused = true)]
async fn activators_stay_for_a_moment_when_the_list_is_empty() {
    let mut bench = served_by(&["10.2.0.1"]);
    assert_eq!(told(&bench), 1);
    bench.control.take(endpoints("ns", "app", &[]));
    bench.settle();
    assert_eq!(told(&bench), 1, "the activator is still there");
    // Emptied once more is no new moment.
    advance(Duration::from_secs(3)).await;
    bench.control.take(endpoints("ns", "app", &[]));
    advance(Duration::from_secs(3)).await;
    bench.settle();
    assert_eq!(told(&bench), 0, "nobody came back");
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_is_told_at_once() {
    let mut bench = served_by(&["10.2.0.1"]);
    bench.control.take(endpoints("ns", "app", &[]));
    bench.settle();
    bench
        .control
        .take(endpoints("ns", "app", &["10.1.0.1", "10.1.0.2"]));
    bench.settle();
    assert_eq!(told(&bench), 2);
    advance(Duration::from_secs(6)).await;
    bench.settle();
    assert_eq!(told(&bench), 2, "what waited is forgotten");
}

#[tokio::test(start_paused = true)]
async fn pods_and_activators_that_are_gone_do_not_stay() {
    let mut bench = served_by(&["10.1.0.1"]);
    bench.control.take(endpoints("ns", "app", &[]));
    bench.settle();
    assert_eq!(told(&bench), 0, "a pod");

    let mut bench = served_by(&["10.2.0.1", "10.2.0.9"]);
    bench.control.take(endpoints("ns", "app", &[]));
    bench.settle();
    assert_eq!(told(&bench), 0, "one of them is no activator");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_deleted_does_not_wait() {
    let mut bench = served_by(&["10.2.0.1"]);
    bench.control.take(endpoints("ns", "app", &[]));
    let key = ObjectKey::new("ns", "app");
    bench
        .control
        .take(Input::ObjectGone(ObjectKind::Endpoints, key));
    bench.settle();
    assert_eq!(told(&bench), 0);
}
