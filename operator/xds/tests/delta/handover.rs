//! Hosts that change hands between Ingresses.

use sluice_envoy::{Content, Kind, Resource};
use sluice_ir::ObjectKey;

use crate::scene::{Scene, ingress, scope, table};

const H: &str = "h.example.com";

#[test]
fn the_new_table_is_warmed_before_the_host_moves() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.change(ingress("b", &[H]), &[(Kind::RouteTable, "ext/ns/a")]);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        [
            "CDS ns/b/80",
            "EDS ns/b/80",
            "SRDS ext/ns/b/!",
            "RDS ext/ns/b",
            "SRDS ext/h.example.com -ext/ns/b/!",
        ]
    );
    scene.assert_unharmed();
    assert!(scene.gateway(peer).lost_hosts.is_empty());
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn no_anchor_is_needed_for_a_table_that_is_there() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H]));
    scene.publish(ingress("b", &["b.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        table("ext/ns/b", "hosts=b.example.com,h.example.com"),
        table("ext/ns/a", "hosts=;empty"),
        scope("ext/ns/b/h.example.com"),
    ]);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["RDS ext/ns/b", "SRDS ext/h.example.com",],
        "and nothing leads to the old table any more"
    );
    scene.assert_unharmed();
    assert!(scene.gateway(peer).lost_hosts.is_empty());
}

#[test]
fn the_old_table_keeps_the_host_until_it_has_moved() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H, "a.example.com"]));
    scene.publish(ingress("b", &["b.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        table("ext/ns/a", "hosts=a.example.com"),
        table("ext/ns/b", "hosts=b.example.com,h.example.com"),
        scope("ext/ns/b/h.example.com"),
    ]);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["RDS ext/ns/b", "SRDS ext/h.example.com", "RDS ext/ns/a",]
    );
    assert!(scene.gateway(peer).lost_hosts.is_empty());
    scene.assert_unharmed();
}

#[test]
fn a_chain_of_three_moves_from_its_end() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com", "x.example.com"]));
    scene.publish(ingress("b", &["b.example.com", "y.example.com"]));
    scene.publish(ingress("c", &["c.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    // x: a → b, y: b → c.
    scene.publish(vec![
        table("ext/ns/a", "hosts=a.example.com"),
        table("ext/ns/b", "hosts=b.example.com,x.example.com"),
        table("ext/ns/c", "hosts=c.example.com,y.example.com"),
        scope("ext/ns/b/x.example.com"),
        scope("ext/ns/c/y.example.com"),
    ]);
    scene.settle();
    let order = ["c", "b", "a"].map(|i| format!("RDS ext/ns/{i}"));
    let came = scene.came(peer);
    let tables: Vec<&String> = came.iter().filter(|c| c.starts_with("RDS")).collect();
    assert_eq!(tables, order.iter().collect::<Vec<_>>());
    assert!(scene.gateway(peer).lost_hosts.is_empty());
    scene.assert_unharmed();
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn two_ingresses_swap_hosts() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["x.example.com"]));
    scene.publish(ingress("b", &["y.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        table("ext/ns/a", "hosts=y.example.com"),
        table("ext/ns/b", "hosts=x.example.com"),
        scope("ext/ns/a/y.example.com"),
        scope("ext/ns/b/x.example.com"),
    ]);
    scene.settle();
    assert_eq!(scene.came(peer).len(), 2, "tables, then scopes");
    scene.assert_unharmed();
    let scopes = scene.gateway(peer).names(Kind::Scope);
    assert_eq!(scopes, ["ext/x.example.com", "ext/y.example.com"]);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_circle_of_three_turns() {
    let mut scene = Scene::new();
    for i in ["a", "b", "c"] {
        scene.publish(ingress(i, &[&format!("{i}.example.com")]));
    }
    let peer = scene.join_ready("gw");
    let moves = [("a", "b"), ("b", "c"), ("c", "a")];
    let mut upserts = Vec::new();
    for (from, to) in moves {
        let host = format!("{from}.example.com");
        upserts.push(table(&format!("ext/ns/{to}"), &format!("hosts={host}")));
        upserts.push(scope(&format!("ext/ns/{to}/{host}")));
    }
    scene.publish(upserts);
    scene.settle();
    scene.assert_unharmed();
    assert_eq!(scene.gateway(peer).names(Kind::Scope).len(), 3);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_host_that_moves_back_before_it_went_takes_its_anchor_away() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(ingress("b", &[H]));
    // Until the anchor is there and its table is on its way.
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
    scene.change(
        vec![scope("ext/ns/a/h.example.com")],
        &[(Kind::RouteTable, "ext/ns/b")],
    );
    scene.settle();
    let scopes = scene.gateway(peer).names(Kind::Scope);
    assert_eq!(scopes, ["ext/h.example.com"]);
    assert_eq!(
        scene.gateway(peer).body(Kind::Scope, "ext/h.example.com"),
        Some("to ext/ns/a")
    );
    scene.assert_unharmed();
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_host_moves_to_a_table_that_was_refused() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H]));
    let peer = scene.join_ready("gw");
    let mut b = ingress("b", &[H]);
    b[2] = table("ext/ns/b", "BAD");
    scene.publish(b);
    scene.settle();
    let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/b");
    assert_eq!(body, Some("standby of ext/ns/b"));
    let scopes = scene.gateway(peer).names(Kind::Scope);
    assert_eq!(scopes, ["ext/h.example.com"]);
    scene.assert_unharmed();
}

#[test]
fn a_host_of_a_held_ingress_goes_to_its_new_owner_in_one_response() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H, "a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    // Another process, to which `a` is unreadable and `b` the owner of the host.
    let mut world = vec![
        crate::scene::listener(),
        table(sluice_envoy::name::READINESS_TABLE, "ready"),
    ];
    world.extend(ingress("b", &[H]));
    scene.restart(sluice_envoy::Update {
        upserts: world,
        held: [(ObjectKey::new("ns", "a"), true)].into(),
        ..Default::default()
    });
    scene.settle();
    let came = scene.came(peer);
    assert_eq!(came.last().unwrap(), "SRDS ext/h.example.com -ext/ns/b/!");
    let gateway = scene.gateway(peer);
    assert_eq!(
        gateway.names(Kind::Scope),
        ["ext/a.example.com", "ext/h.example.com"]
    );
    assert!(gateway.body(Kind::RouteTable, "ext/ns/a").is_some());
    assert!(gateway.body(Kind::Cluster, "ns/a/80").is_some());
    assert!(gateway.lost_hosts.is_empty());
    scene.assert_unharmed();
    // Then `a` is removed: what was left alone goes.
    scene.hold("ns", "a", false);
    scene.settle();
    scene.pass(std::time::Duration::from_secs(5));
    let gateway = scene.gateway(peer);
    assert_eq!(gateway.names(Kind::Scope), ["ext/h.example.com"]);
    assert_eq!(gateway.names(Kind::Cluster), ["ns/b/80"]);
}

#[test]
fn a_key_under_another_name_changes_hands_in_one_response() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H]));
    let peer = scene.join_ready("gw");
    let mut other = ingress("b", &[H]);
    other[3].name = "ext/other/h.example.com".to_owned();
    scene.change(other, &[(Kind::Scope, "ext/h.example.com")]);
    scene.settle();
    assert_eq!(
        scene.came(peer).last().unwrap(),
        "SRDS ext/other/h.example.com -ext/h.example.com -ext/ns/b/!"
    );
    scene.assert_unharmed();
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_circle_through_a_table_that_is_already_there_is_none() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["x.example.com", "a.example.com"]));
    scene.publish(ingress("b", &["y.example.com"]));
    // `b` serves `x` before its scope leads there.
    let both = "hosts=x.example.com,y.example.com,z.example.com";
    scene.publish(vec![table("ext/ns/b", both)]);
    let peer = scene.join_ready("gw");
    // While scopes are out, none can move, and so `a` must stay as it is.
    scene.publish(vec![scope("ext/ns/b/z.example.com")]);
    let out = scene.poll(peer);
    scene.publish(vec![
        table("ext/ns/a", "hosts=a.example.com,y.example.com"),
        scope("ext/ns/b/x.example.com"),
        scope("ext/ns/a/y.example.com"),
    ]);
    assert!(scene.poll(peer).is_empty());
    out.iter().for_each(|r| scene.gateway(peer).take(r));
    scene.settle();
    assert!(
        scene
            .gateway(peer)
            .body(Kind::Scope, "ext/y.example.com")
            .is_some()
    );
    scene.assert_unharmed();
}

#[test]
fn an_anchor_stays_while_a_refused_response_is_taken_apart() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H]));
    let peer = scene.join_ready("gw");
    scene.publish(ingress("b", &[H]));
    let anchor = "ext/ns/b/!";
    while !scene.gateway(peer).names(Kind::Scope).contains(&anchor) {
        scene.ask(peer);
        for response in scene.poll(peer) {
            scene.gateway(peer).take(&response);
        }
    }
    // A bad scope that will go together with the move.
    let bad = Resource {
        content: Some(Content::new("BAD")),
        ..scope("ext/ns/b/bad.example.com")
    };
    scene.publish(vec![bad]);
    scene.came(peer);
    scene.settle();
    let came = scene.came(peer);
    let scopes: Vec<&String> = came.iter().filter(|c| c.starts_with("SRDS")).collect();
    let gone = format!("-{anchor}");
    let with_anchor: Vec<bool> = scopes.iter().map(|c| c.contains(&gone)).collect();
    // All of it, then the bad one alone, then the move.
    assert_eq!(with_anchor, [true, false, true], "{scopes:?}");
    assert!(scene.gateway(peer).lost_hosts.is_empty());
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn of_two_scopes_with_one_key_only_the_newer_is_sent() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &[H]));
    let peer = scene.join_ready("gw");
    let other = Resource {
        name: "ext/ns/other/h.example.com".to_owned(),
        content: Some(Content::new("to ext/ns/b")),
        ..scope("ext/ns/b/h.example.com")
    };
    scene.publish(vec![table("ext/ns/b", "hosts=h.example.com"), other]);
    scene.settle();
    scene.reconnect(peer);
    scene.settle();
    scene.assert_unharmed();
    let scopes = scene.gateway(peer).names(Kind::Scope);
    assert_eq!(scopes, ["ext/ns/other/h.example.com"]);
    let cold = scene.join_ready("cold");
    assert_eq!(scene.gateway(cold).names(Kind::Scope).len(), 1);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}
