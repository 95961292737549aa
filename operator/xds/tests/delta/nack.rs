//! Refused responses: bisection, quarantine, and what stands in.

use std::time::Duration;

use sluice_envoy::{Content, Kind, Resource};

use crate::gateway::Gateway;
use crate::scene::{Scene, cluster, endpoints, ingress, scope, secret, table};

fn quarantined(scene: &Scene) -> Vec<(Kind, String)> {
    let all = scene.store.quarantined().into_iter();
    all.map(|q| (q.kind, q.name)).collect()
}

#[test]
fn a_bad_one_among_many_is_found_and_the_rest_is_taken() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.came(peer);
    let mut clusters: Vec<Resource> = (0..64)
        .map(|i| cluster(&format!("ns/c{i:02}/80"), "good"))
        .collect();
    clusters[37] = cluster("ns/c37/80", "BAD");
    scene.publish(clusters);
    scene.settle();
    assert_eq!(quarantined(&scene), [(Kind::Cluster, "ns/c37/80".into())]);
    assert_eq!(scene.gateway(peer).names(Kind::Cluster).len(), 63);
    let traffic = scene.node(peer).kinds[&Kind::Cluster];
    // 64, 32, 16, 8, 4, 2, 1 were refused.
    assert_eq!(traffic.nacks, 7);
    assert_eq!(traffic.due, 0);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
    let detail = &scene.store.quarantined()[0].detail;
    assert_eq!(detail, "refused ns/c37/80");
}

#[test]
fn nothing_of_a_refused_response_counts_as_held() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    scene.publish(ingress("b", &["b.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![
        table("ext/ns/a", "BAD"),
        table("ext/ns/b", "hosts=b.example.com;v2"),
    ]);
    scene.settle();
    // The gateway took `b` or not, nobody knows: it is sent again.
    assert_eq!(
        scene.came(peer),
        ["RDS ext/ns/a ext/ns/b", "RDS ext/ns/a", "RDS ext/ns/b"]
    );
    let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("hosts=a.example.com;clusters=ns/a/80"));
}

#[test]
fn what_was_refused_alone_is_never_sent_again() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![table("ext/ns/a", "BAD")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["RDS ext/ns/a"]);
    scene.publish(vec![table("ext/ns/a", "good")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["RDS ext/ns/a"]);
    assert_eq!(quarantined(&scene), []);
    let revision = scene.publish(vec![table("ext/ns/a", "BAD")]);
    scene.settle();
    assert_eq!(scene.came(peer), Vec::<String>::new());
    assert_eq!(scene.node(peer).acked, Some(revision));
    assert_eq!(
        quarantined(&scene),
        [(Kind::RouteTable, "ext/ns/a".to_owned())]
    );
    let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("good"));
}

#[test]
fn a_gateway_that_holds_nothing_gets_what_stands_in() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let old = scene.join_ready("old");
    scene.publish(vec![table("ext/ns/a", "BAD")]);
    scene.settle();
    let new = scene.join_ready("new");
    let body = scene.gateway(new).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("standby of ext/ns/a"));
    let body = scene.gateway(old).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("hosts=a.example.com;clusters=ns/a/80"));
    // Good content ends it for both.
    scene.publish(vec![table("ext/ns/a", "good")]);
    scene.settle();
    for peer in [old, new] {
        let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
        assert_eq!(body, Some("good"));
    }
}

#[test]
fn a_first_table_that_is_refused_is_replaced_at_once() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    let mut resources = ingress("a", &["a.example.com"]);
    resources[2] = table("ext/ns/a", "BAD");
    scene.publish(resources);
    scene.settle();
    let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("standby of ext/ns/a"));
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_cold_gateway_becomes_ready_though_something_is_refused() {
    let mut scene = Scene::new();
    for i in 0..20 {
        scene.publish(ingress(&format!("i{i}"), &[&format!("h{i}.example.com")]));
    }
    scene.publish(vec![table("ext/ns/i3", "BAD"), cluster("ns/i4/80", "BAD")]);
    let peer = scene.join_ready("gw");
    assert_eq!(scene.gateway(peer).names(Kind::RouteTable).len(), 21);
    assert_eq!(quarantined(&scene).len(), 2);
}

#[test]
fn others_go_on_while_the_bad_one_is_looked_for() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    let mut clusters: Vec<Resource> = (0..256)
        .map(|i| cluster(&format!("ns/c{i:03}/80"), "good"))
        .collect();
    clusters[99] = cluster("ns/c099/80", "BAD");
    scene.publish(clusters);
    // First refusal, then another cluster appears.
    let first = scene.poll(peer);
    scene.gateway(peer).take(&first[0]);
    scene.ask(peer);
    scene.came(peer);
    scene.publish(vec![cluster("ns/late/80", "good")]);
    scene.settle();
    let came = scene.came(peer);
    let clusters: Vec<&String> = came.iter().filter(|c| c.starts_with("CDS")).collect();
    let late = clusters.iter().position(|c| c.contains("ns/late/80"));
    assert!(late.unwrap() <= 1, "{late:?}");
    assert_eq!(scene.gateway(peer).names(Kind::Cluster).len(), 1 + 255 + 1);
}

#[test]
fn many_bad_ones_are_all_found() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    let body = |i: usize| if i.is_multiple_of(3) { "BAD" } else { "good" };
    let clusters = (0..90).map(|i| cluster(&format!("ns/c{i}/80"), body(i)));
    scene.publish(clusters.collect());
    scene.settle();
    assert_eq!(quarantined(&scene).len(), 30);
    assert_eq!(scene.gateway(peer).names(Kind::Cluster).len(), 60);
}

#[test]
fn a_suspect_that_is_repaired_meanwhile_is_not_blamed() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.publish(vec![cluster("ns/a/80", "BAD"), cluster("ns/b/80", "good")]);
    let first = scene.poll(peer);
    scene.gateway(peer).take(&first[0]);
    scene.ask(peer);
    scene.publish(vec![cluster("ns/a/80", "repaired")]);
    scene.settle();
    assert_eq!(quarantined(&scene), []);
    let body = scene.gateway(peer).body(Kind::Cluster, "ns/a/80");
    assert_eq!(body, Some("repaired"));
}

#[test]
fn a_suspect_that_is_removed_meanwhile_is_forgotten() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.publish(vec![cluster("ns/a/80", "BAD"), cluster("ns/b/80", "good")]);
    let first = scene.poll(peer);
    scene.gateway(peer).take(&first[0]);
    scene.ask(peer);
    scene.change(Vec::new(), &[(Kind::Cluster, "ns/a/80")]);
    scene.settle();
    assert_eq!(scene.gateway(peer).names(Kind::Cluster), ["ns/b/80"]);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn a_version_is_refused_for_the_whole_fleet() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let mut picky = Gateway::new("picky");
    picky.refuses = "new feature".to_owned();
    scene.join(picky);
    scene.settle();
    let other = scene.join_ready("other");
    let mut changed = table("ext/ns/a", "hosts=a.example.com;new feature");
    changed.shape = 77;
    scene.publish(vec![changed]);
    scene.settle();
    scene.pass(Duration::from_secs(2));
    assert_eq!(
        quarantined(&scene),
        [(Kind::RouteTable, "ext/ns/a".to_owned())]
    );
    assert_eq!(scene.store.quarantined()[0].node, "picky");
    let body = scene.gateway(other).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("hosts=a.example.com;clusters=ns/a/80"));
    for peer in [0, other] {
        assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
    }
}

#[test]
fn a_refused_secret_is_answered_by_none_and_its_words_are_not_kept() {
    let mut scene = Scene::new();
    scene.publish(vec![
        secret("a.example.com", "BAD"),
        endpoints("ns/a/80", "e"),
    ]);
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.gateway(peer).ask(Kind::Secret, "a.example.com");
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["SDS a.example.com", "SDS -a.example.com"]
    );
    let refusals = scene.store.quarantined();
    assert_eq!(refusals[0].kind, Kind::Secret);
    assert_eq!(refusals[0].detail, "");
}

#[test]
fn a_refused_rotation_leaves_the_certificate_that_was() {
    let mut scene = Scene::new();
    scene.publish(vec![secret("a.example.com", "good")]);
    let peer = scene.join_ready("gw");
    scene.gateway(peer).ask(Kind::Secret, "a.example.com");
    scene.settle();
    scene.came(peer);
    scene.publish(vec![secret("a.example.com", "BAD")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["SDS a.example.com"]);
    let body = scene.gateway(peer).body(Kind::Secret, "a.example.com");
    assert!(body.unwrap().ends_with("good"));
}

#[test]
fn last_good_routes_keep_their_clusters() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    // The new generation leads elsewhere, and is refused.
    scene.change(
        vec![
            cluster("ns/new/80", "v1"),
            endpoints("ns/new/80", "10.0.0.2"),
            table("ext/ns/a", "clusters=ns/new/80;BAD"),
        ],
        &[(Kind::Cluster, "ns/a/80"), (Kind::Endpoints, "ns/a/80")],
    );
    scene.settle();
    scene.pass(Duration::from_secs(60));
    assert!(scene.gateway(peer).body(Kind::Cluster, "ns/a/80").is_some());
    // Also over a broken stream.
    scene.reconnect(peer);
    scene.settle();
    scene.pass(Duration::from_secs(60));
    assert!(scene.gateway(peer).body(Kind::Cluster, "ns/a/80").is_some());
    scene.assert_unharmed();
    // The next generation is taken, and then they go.
    scene.publish(vec![table("ext/ns/a", "clusters=ns/new/80;good")]);
    scene.settle();
    assert!(scene.gateway(peer).body(Kind::Cluster, "ns/a/80").is_some());
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.gateway(peer).names(Kind::Cluster), ["ns/new/80"]);
    scene.assert_unharmed();
}

#[test]
fn what_a_refused_response_may_have_changed_is_sent_even_if_taken_back() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    scene.publish(ingress("b", &["b.example.com"]));
    let peer = scene.join_ready("gw");
    let before = "hosts=a.example.com;clusters=ns/a/80";
    scene.publish(vec![table("ext/ns/a", "v2"), table("ext/ns/b", "BAD")]);
    let out = scene.poll(peer);
    scene.gateway(peer).take(&out[0]);
    let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("v2"), "it took the good one of a bad response");
    scene.ask(peer);
    scene.publish(vec![table("ext/ns/a", before)]);
    scene.settle();
    let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some(before));
}

#[test]
fn what_stands_in_follows_its_changes() {
    let mut scene = Scene::new();
    let stand_in = |reason: &str| Resource {
        content: None,
        standby: Some(Content::standby(reason.as_bytes().to_vec())),
        ..table("ext/ns/a", "")
    };
    scene.publish(vec![
        stand_in("one reason"),
        scope("ext/ns/a/a.example.com"),
    ]);
    let peer = scene.join_ready("gw");
    scene.publish(vec![stand_in("another reason")]);
    scene.settle();
    let body = scene.gateway(peer).body(Kind::RouteTable, "ext/ns/a");
    assert_eq!(body, Some("another reason"));
}

#[test]
fn long_words_are_cut() {
    let mut scene = Scene::new();
    let name = format!("ns/{}/80", "ü".repeat(3000));
    scene.publish(vec![cluster(&name, "BAD")]);
    scene.join_ready("gw");
    let detail = &scene.store.quarantined()[0].detail;
    assert_eq!(detail.chars().count(), 1024);
}
