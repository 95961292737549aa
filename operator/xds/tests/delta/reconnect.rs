//! Streams that break, and servers that start again.

use std::time::Duration;

use sluice_envoy::{Kind, Update, name};
use sluice_ir::ObjectKey;

use crate::gateway::Gateway;
use crate::scene::{Scene, cluster, endpoints, ingress, listener, secret, table};

fn world(scene: &Scene) -> Update {
    Update {
        upserts: scene.world.values().cloned().collect(),
        ..Update::default()
    }
}

#[test]
fn nothing_unchanged_is_sent_again() {
    let mut scene = Scene::new();
    for i in 0..50 {
        scene.publish(ingress(&format!("i{i}"), &[&format!("h{i}.example.com")]));
    }
    scene.publish(vec![secret("h1.example.com", "key")]);
    let peer = scene.join_ready("gw");
    scene.gateway(peer).ask(Kind::Secret, "h1.example.com");
    scene.settle();
    scene.came(peer);
    let same = world(&scene);
    scene.restart(same);
    scene.settle();
    assert_eq!(scene.came(peer), Vec::<String>::new());
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
    assert!(scene.node(peer).serving);
    // And later changes come.
    scene.publish(vec![endpoints("ns/i3/80", "10.0.0.7")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS ns/i3/80"]);
}

#[test]
fn only_what_changed_meanwhile_is_sent() {
    let mut scene = Scene::new();
    for i in 0..5 {
        scene.publish(ingress(&format!("i{i}"), &[&format!("h{i}.example.com")]));
    }
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.cut(peer);
    scene.change(
        vec![table("ext/ns/i2", "hosts=h2.example.com;v2")],
        &[
            (Kind::Scope, "ext/h3.example.com"),
            (Kind::RouteTable, "ext/ns/i3"),
            (Kind::Cluster, "ns/i3/80"),
            (Kind::Endpoints, "ns/i3/80"),
        ],
    );
    scene.reconnect(peer);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["SRDS -ext/h3.example.com", "RDS ext/ns/i2"]
    );
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.came(peer), ["CDS -ns/i3/80"]);
    scene.assert_unharmed();
}

#[test]
fn a_cluster_that_changed_meanwhile_brings_its_assignment() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.cut(peer);
    scene.publish(vec![cluster("ns/a/80", "v2")]);
    scene.reconnect(peer);
    // The requests are all on their way before the first answer comes.
    scene.settle();
    assert_eq!(scene.came(peer), ["CDS ns/a/80", "EDS ns/a/80"]);

    // And where the server answers each request as it comes.
    scene.cut(peer);
    scene.publish(vec![cluster("ns/a/80", "v3")]);
    scene.reconnect(peer);
    let mut early = Vec::new();
    while scene.ask(peer) {
        early.extend(scene.poll(peer));
    }
    for response in early {
        scene.gateway(peer).take(&response);
    }
    scene.settle();
    assert_eq!(scene.came(peer), ["CDS ns/a/80", "EDS ns/a/80"]);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn two_gateways_in_different_states() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let fast = scene.join_ready("fast");
    let slow = scene.join_ready("slow");
    let old = scene.node(slow).acked;
    scene.gateway(slow).mute = true;
    let new = scene.publish(vec![endpoints("ns/a/80", "10.0.0.2")]);
    scene.settle();
    assert_eq!(scene.node(fast).acked, Some(new));
    assert_eq!(scene.node(slow).acked, old);
    scene.gateway(slow).mute = false;
    scene.reconnect(slow);
    scene.came(slow);
    scene.settle();
    assert_eq!(scene.came(slow), ["EDS ns/a/80"]);
    assert_eq!(scene.node(slow).acked, Some(new));
}

#[test]
fn a_held_ingress_outlives_a_restart() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com", "b.example.com"]));
    scene.publish(vec![secret("a.example.com", "key")]);
    let warm = scene.join_ready("warm");
    scene.gateway(warm).ask(Kind::Secret, "a.example.com");
    scene.settle();
    scene.came(warm);
    // To the new process the Ingress is refused: a stand-in table, one readable
    // host, no cluster.
    let mut stand_in = table("ext/ns/a", "");
    stand_in.content = None;
    scene.restart(Update {
        upserts: vec![
            listener(),
            table(name::READINESS_TABLE, "ready"),
            stand_in,
            crate::scene::scope("ext/ns/a/a.example.com"),
        ],
        held: [(ObjectKey::new("ns", "a"), true)].into(),
        ..Update::default()
    });
    scene.settle();
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.came(warm), Vec::<String>::new());
    assert_eq!(scene.node(warm).acked, Some(scene.store.revision()));
    let gateway = scene.gateway(warm);
    assert_eq!(gateway.names(Kind::Scope).len(), 2);
    assert_eq!(gateway.names(Kind::Cluster), ["ns/a/80"]);
    assert_eq!(gateway.names(Kind::Secret), ["a.example.com"]);
    // A gateway that never had it answers 503.
    let cold = scene.join_ready("cold");
    let body = scene.gateway(cold).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("standby of ext/ns/a"));
    // Repaired, both serve it.
    scene.publish(ingress("a", &["a.example.com", "b.example.com"]));
    scene.hold("ns", "a", false);
    scene.settle();
    for peer in [warm, cold] {
        let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
        assert_eq!(
            body,
            Some("hosts=a.example.com,b.example.com;clusters=ns/a/80")
        );
    }
    scene.assert_unharmed();
}

#[test]
fn a_reconnect_amid_a_bisection_starts_over() {
    let mut scene = Scene::new();
    let peer = scene.join(Gateway::new("gw"));
    scene.settle();
    let body = |i: usize| if i == 5 { "BAD" } else { "good" };
    let clusters = (0..16).map(|i| cluster(&format!("ns/c{i}/80"), body(i)));
    scene.publish(clusters.collect());
    for _ in 0..2 {
        for response in scene.poll(peer) {
            scene.gateway(peer).take(&response);
        }
        while scene.ask(peer) {}
    }
    scene.reconnect(peer);
    scene.settle();
    assert_eq!(scene.gateway(peer).names(Kind::Cluster).len(), 15);
    assert_eq!(scene.store.quarantined().len(), 1);
}

#[test]
fn an_anchor_from_before_is_taken_away() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["h.example.com"]));
    let peer = scene.join_ready("gw");
    scene.publish(ingress("b", &["h.example.com"]));
    while !scene
        .gateway(peer)
        .names(Kind::Scope)
        .contains(&"ext/ns/b/!")
    {
        scene.ask(peer);
        for response in scene.poll(peer) {
            scene.gateway(peer).take(&response);
        }
    }
    // The stream breaks there, and the move is called off.
    scene.cut(peer);
    scene.publish(ingress("a", &["h.example.com"]));
    scene.reconnect(peer);
    scene.settle();
    let scopes = scene.gateway(peer).names(Kind::Scope);
    assert_eq!(scopes, ["ext/h.example.com"]);
    scene.assert_unharmed();
}
