//! Ten thousand Ingresses.

use sluice_envoy::Kind;

use crate::scene::{Scene, endpoints, ingress};

const N: usize = 10_000;

#[test]
fn ten_thousand_in_one_update_come_in_order_and_in_small_responses() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.came(peer);
    let world =
        (0..N).flat_map(|i| ingress(&format!("i{i:05}"), &[&format!("h{i:05}.example.com")]));
    scene.publish(world.collect());
    scene.settle();
    let log = std::mem::take(&mut scene.gateway(peer).log);
    let kinds: Vec<Kind> = log
        .iter()
        .map(|r| Kind::from_type_url(&r.type_url).unwrap())
        .collect();
    let last_cluster = kinds.iter().rposition(|k| *k == Kind::Cluster).unwrap();
    let first_scope = kinds.iter().position(|k| *k == Kind::Scope).unwrap();
    assert!(last_cluster < first_scope);
    assert!(log.iter().all(|r| r.resources.len() <= 500));
    for kind in [Kind::Cluster, Kind::Endpoints, Kind::Scope] {
        assert_eq!(scene.gateway(peer).names(kind).len(), N, "{kind}");
        assert_eq!(scene.node(peer).kinds[&kind].sent, N as u64, "{kind}");
    }
    assert_eq!(scene.gateway(peer).names(Kind::RouteTable).len(), N + 1);
    scene.assert_unharmed();

    scene.publish(vec![endpoints("ns/i04711/80", "10.0.0.2")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS ns/i04711/80"]);
}

#[test]
fn a_large_resource_goes_alone() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    scene.publish(ingress("b", &["b.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    let large = "x".repeat(3 << 20);
    scene.publish(vec![
        endpoints("ns/a/80", &large),
        endpoints("ns/b/80", "10.0.0.2"),
    ]);
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS ns/a/80", "EDS ns/b/80"]);
}
