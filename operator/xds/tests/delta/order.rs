//! What goes before what.

use std::time::Duration;

use sluice_envoy::Kind;
use sluice_xds::Settings;

use crate::scene::{Scene, cluster, endpoints, ingress, scope, table};

const GRACE: Duration = Duration::from_secs(5);

#[test]
fn a_new_route_waits_for_its_new_cluster() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        cluster("ns/b/80", "b"),
        endpoints("ns/b/80", "10.0.0.2"),
        table("ext/ns/a", "clusters=ns/a/80,ns/b/80"),
    ]);
    let first = scene.poll(peer);
    assert_eq!(first.len(), 1, "the table waits");
    scene.gateway(peer).take(&first[0]);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["CDS ns/b/80", "EDS ns/b/80", "RDS ext/ns/a"]
    );
    scene.assert_unharmed();
}

#[test]
fn a_route_does_not_wait_for_clusters_of_later_revisions() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.publish(vec![table("ext/ns/a", "clusters=ns/a/80;v2")]);
    scene.publish(vec![cluster("ns/b/80", "b"), endpoints("ns/b/80", "e")]);
    let responses = scene.poll(peer);
    let brief: Vec<String> = responses.iter().map(crate::scene::brief).collect();
    assert_eq!(brief, ["CDS ns/b/80", "RDS ext/ns/a"]);
}

#[test]
fn a_changed_cluster_or_assignment_holds_up_no_route() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        endpoints("ns/a/80", "10.0.0.2"),
        table("ext/ns/a", "clusters=ns/a/80;v2"),
    ]);
    assert_eq!(scene.poll(peer).len(), 2);
}

#[test]
fn a_changed_cluster_brings_its_unchanged_assignment() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![cluster("ns/a/80", "v2")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["CDS ns/a/80", "EDS ns/a/80"]);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn an_assignment_that_is_out_is_sent_again_after_its_cluster() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![endpoints("ns/a/80", "10.0.0.2")]);
    let early = scene.poll(peer);
    scene.publish(vec![cluster("ns/a/80", "v2")]);
    let changed = scene.poll(peer);
    for response in early.into_iter().chain(changed) {
        scene.gateway(peer).take(&response);
    }
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["EDS ns/a/80", "CDS ns/a/80", "EDS ns/a/80"]
    );
    // The gateway held back the ACK of the cluster until then.
    assert_eq!(scene.node(peer).kinds[&Kind::Cluster].due, 0);
}

#[test]
fn a_refused_cluster_is_done_and_its_routes_go_on() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        cluster("ns/bad/80", "BAD"),
        endpoints("ns/bad/80", "e"),
        table("ext/ns/a", "clusters=ns/bad/80"),
        scope("ext/ns/a/a.example.com"),
    ]);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["CDS ns/bad/80", "SRDS ext/a.example.com", "RDS ext/ns/a"]
    );
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_removed_ingress_leaves_scopes_first_and_clusters_after_a_grace() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    let revision = scene.change(
        Vec::new(),
        &[
            (Kind::Cluster, "ns/a/80"),
            (Kind::Endpoints, "ns/a/80"),
            (Kind::RouteTable, "ext/ns/a"),
            (Kind::Scope, "ext/a.example.com"),
        ],
    );
    scene.settle();
    assert_eq!(scene.came(peer), ["SRDS -ext/a.example.com"]);
    assert_eq!(scene.node(peer).acked, Some(revision));
    scene.pass(GRACE - Duration::from_millis(1));
    assert_eq!(scene.came(peer), Vec::<String>::new());
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.came(peer), ["CDS -ns/a/80"]);
    assert!(scene.gateway(peer).names(Kind::Endpoints).is_empty());
    scene.assert_unharmed();
}

#[test]
fn the_grace_begins_when_nothing_leads_to_the_cluster_any_more() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.change(
        vec![
            cluster("ns/b/80", "b"),
            endpoints("ns/b/80", "e"),
            table("ext/ns/a", "clusters=ns/b/80"),
        ],
        &[(Kind::Cluster, "ns/a/80"), (Kind::Endpoints, "ns/a/80")],
    );
    // The gateway takes its time over the new cluster, so the table waits.
    let slow = scene.poll(peer);
    scene.now += GRACE * 2;
    assert!(scene.poll(peer).is_empty());
    for response in slow {
        scene.gateway(peer).take(&response);
    }
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["CDS ns/b/80", "EDS ns/b/80", "RDS ext/ns/a"]
    );
    scene.pass(GRACE);
    assert_eq!(scene.came(peer), ["CDS -ns/a/80"]);
    scene.assert_unharmed();
}

#[test]
fn a_cluster_that_comes_back_in_time_was_never_gone() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.change(
        Vec::new(),
        &[(Kind::Cluster, "ns/a/80"), (Kind::Endpoints, "ns/a/80")],
    );
    scene.settle();
    let back = scene.publish(vec![
        cluster("ns/a/80", "v1"),
        endpoints("ns/a/80", "10.0.0.1"),
    ]);
    scene.settle();
    scene.pass(GRACE);
    assert_eq!(scene.came(peer), Vec::<String>::new());
    assert_eq!(scene.node(peer).acked, Some(back));
}

#[test]
fn a_cluster_that_comes_back_while_its_removal_is_out_holds_up_its_routes() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    let removals = [(Kind::Cluster, "ns/a/80"), (Kind::Endpoints, "ns/a/80")];
    scene.change(vec![table("ext/ns/a", "v2")], &removals);
    scene.settle();
    scene.now += GRACE;
    let removal = scene.poll(peer);
    assert_eq!(removal.len(), 1);
    scene.publish(ingress("a", &["a.example.com"]));
    assert!(scene.poll(peer).is_empty(), "the table waits");
    for response in removal {
        scene.gateway(peer).take(&response);
    }
    scene.settle();
    scene.assert_unharmed();
    let body = scene.gateway(peer).body(Kind::Cluster, "ns/a/80");
    assert_eq!(body, Some("v1"));
}

#[test]
fn a_grace_of_zero_needs_no_second_look() {
    let mut scene = Scene::with(Settings {
        cluster_grace: Duration::ZERO,
        ..Settings::default()
    });
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.change(
        Vec::new(),
        &[
            (Kind::Cluster, "ns/a/80"),
            (Kind::Scope, "ext/a.example.com"),
        ],
    );
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["SRDS -ext/a.example.com", "CDS -ns/a/80"]
    );
}

#[test]
fn a_new_host_of_a_known_table_waits_for_its_content() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        table("ext/ns/a", "hosts=a.example.com,b.example.com"),
        scope("ext/ns/a/b.example.com"),
    ]);
    scene.settle();
    assert_eq!(scene.came(peer), ["RDS ext/ns/a", "SRDS ext/b.example.com"]);
}

#[test]
fn acknowledged_means_that_the_tables_are_there_too() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    let before = scene.node(peer).acked;
    scene.publish(ingress("a", &["a.example.com"]));
    // A gateway that acknowledges the scope before it asks for the table.
    scene.gateway(peer).without.insert(Kind::RouteTable);
    scene.settle();
    assert_eq!(scene.gateway(peer).names(Kind::Scope).len(), 1);
    assert_eq!(scene.node(peer).acked, before);
    scene.gateway(peer).without.clear();
    scene.gateway(peer).ask(Kind::RouteTable, "ext/ns/a");
    scene.settle();
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_new_host_waits_for_the_clusters_of_its_table_too() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    // The scope of an older revision than its table, which needs a new cluster.
    scene.publish(vec![scope("ext/ns/a/a.example.com")]);
    scene.publish(vec![
        cluster("ns/a/80", "v1"),
        endpoints("ns/a/80", "e"),
        table("ext/ns/a", "clusters=ns/a/80"),
    ]);
    scene.came(peer);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        [
            "CDS ns/a/80",
            "EDS ns/a/80",
            "SRDS ext/a.example.com",
            "RDS ext/ns/a"
        ]
    );
}

#[test]
fn a_table_whose_change_is_out_is_uncertain_even_if_it_is_taken_back() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    let before = "hosts=a.example.com;clusters=ns/a/80";
    scene.publish(vec![table("ext/ns/a", "v2")]);
    let out = scene.poll(peer);
    scene.publish(vec![
        table("ext/ns/a", before),
        scope("ext/ns/a/b.example.com"),
    ]);
    assert!(scene.poll(peer).is_empty(), "the new host waits");
    out.iter().for_each(|r| scene.gateway(peer).take(r));
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["RDS ext/ns/a", "RDS ext/ns/a", "SRDS ext/b.example.com"]
    );
}
