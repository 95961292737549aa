//! Who asked for what, and what they get.

use sluice_envoy::{Kind, Update, name};
use sluice_xds::wire::{DeltaDiscoveryRequest, Status};
use sluice_xds::{Revision, Settings, Store, Stream};

use crate::gateway::Gateway;
use crate::scene::{Scene, cluster, endpoints, ingress, listener, scope, table};

fn request(kind: Kind, subscribe: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: subscribe.iter().map(|n| (*n).to_owned()).collect(),
        ..Default::default()
    }
}

#[test]
fn nothing_is_sent_before_the_first_publish() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("a");
    scene.cut(peer);
    scene.store = Store::new(Settings::default());
    scene.reconnect(peer);
    scene.came(peer);
    scene.settle();
    assert_eq!(scene.came(peer), Vec::<String>::new());
    assert!(scene.gateway(peer).is_ready());
    assert_eq!(scene.node(peer).acked, None);
}

#[test]
fn wildcard_types_are_answered_even_when_empty() {
    let mut store = Store::new(Settings::default());
    store.publish(Update::default());
    let mut stream = Stream::open(&mut store);
    for kind in [Kind::Cluster, Kind::Listener, Kind::Scope] {
        stream.on_request(request(kind, &[]), &mut store);
        let responses = stream.poll(&mut store, std::time::Instant::now());
        assert_eq!(responses.len(), 1, "{kind}");
        assert!(responses[0].resources.is_empty());
    }
    stream.on_request(request(Kind::Endpoints, &[]), &mut store);
    assert!(
        stream
            .poll(&mut store, std::time::Instant::now())
            .is_empty()
    );
}

#[test]
fn a_cold_gateway_gets_all_in_order() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    assert_eq!(
        scene.came(peer),
        [
            "CDS ns/a/80",
            "EDS ns/a/80",
            "LDS external-http",
            "SRDS ext/a.example.com",
            "RDS ext/ns/a",
            "RDS sluice/readiness",
        ]
    );
    scene.assert_unharmed();
    assert_eq!(scene.node(peer).acked, Some(Revision(2)));
    assert!(scene.node(peer).serving);
}

#[test]
fn one_change_sends_one_resource() {
    let mut scene = Scene::new();
    for i in 0..50 {
        scene.publish(ingress(&format!("i{i}"), &[&format!("h{i}.example.com")]));
    }
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![endpoints("ns/i7/80", "10.0.0.2")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS ns/i7/80"]);
    scene.publish(vec![table("ext/ns/i7", "clusters=ns/i7/80;v2")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["RDS ext/ns/i7"]);
    let revision = scene.publish(vec![table("ext/ns/i7", "clusters=ns/i7/80;v2")]);
    scene.settle();
    assert_eq!(scene.came(peer), Vec::<String>::new());
    assert_eq!(scene.node(peer).acked, Some(revision));
}

#[test]
fn named_types_get_what_they_ask_for_and_a_removal_for_what_is_not() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.gateway(peer).ask(Kind::Endpoints, "ns/none/80");
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS -ns/none/80"]);
    // What appears later under a name that is still asked for is sent.
    scene.publish(vec![endpoints("ns/none/80", "10.0.0.9")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS ns/none/80"]);
}

#[test]
fn asking_again_is_answered_again() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    let again = request(Kind::Endpoints, &["ns/a/80"]);
    scene.gateway(peer).outbox.push_back(again);
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS ns/a/80"]);
}

#[test]
fn what_is_unsubscribed_is_not_followed() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene
        .gateway(peer)
        .drop_interest(Kind::Endpoints, "ns/a/80");
    scene.settle();
    scene.came(peer);
    scene.publish(vec![endpoints("ns/a/80", "10.0.0.2")]);
    scene.settle();
    assert_eq!(scene.came(peer), Vec::<String>::new());
}

#[test]
fn explicit_wildcard_and_explicit_names() {
    let mut store = Store::new(Settings::default());
    store.publish(Update {
        upserts: vec![cluster("ns/a/80", "a"), cluster("ns/b/80", "b")],
        ..Update::default()
    });
    let now = std::time::Instant::now();
    let mut stream = Stream::open(&mut store);
    stream.on_request(request(Kind::Cluster, &["ns/b/80"]), &mut store);
    let first = stream.poll(&mut store, now);
    assert_eq!(crate::scene::brief(&first[0]), "CDS ns/b/80");
    let mut all = request(Kind::Cluster, &["*"]);
    all.response_nonce = first[0].nonce.clone();
    stream.on_request(all, &mut store);
    let second = stream.poll(&mut store, now);
    assert_eq!(crate::scene::brief(&second[0]), "CDS ns/a/80");
    let mut only_b = request(Kind::Cluster, &[]);
    only_b.response_nonce = second[0].nonce.clone();
    only_b.resource_names_unsubscribe = vec!["*".to_owned()];
    stream.on_request(only_b, &mut store);
    store.publish(Update {
        upserts: vec![cluster("ns/a/80", "a2"), cluster("ns/b/80", "b2")],
        ..Update::default()
    });
    let third = stream.poll(&mut store, now);
    assert_eq!(crate::scene::brief(&third[0]), "CDS ns/b/80");
}

#[test]
fn a_stale_nonce_is_ignored_but_its_subscriptions_count() {
    let mut store = Store::new(Settings::default());
    store.publish(Update {
        upserts: vec![endpoints("ns/a/80", "a"), endpoints("ns/b/80", "b")],
        ..Update::default()
    });
    let now = std::time::Instant::now();
    let mut stream = Stream::open(&mut store);
    stream.on_request(request(Kind::Endpoints, &["ns/a/80"]), &mut store);
    let first = stream.poll(&mut store, now);
    let mut stale = request(Kind::Endpoints, &["ns/b/80"]);
    stale.response_nonce = "no such nonce".to_owned();
    stale.error_detail = Some(Status::default());
    stream.on_request(stale, &mut store);
    // Outstanding still: nothing is sent, nothing counts as refused.
    assert!(stream.poll(&mut store, now).is_empty());
    assert_eq!(stream.node().kinds[&Kind::Endpoints].nacks, 0);
    let mut ack = request(Kind::Endpoints, &[]);
    ack.response_nonce = first[0].nonce.clone();
    stream.on_request(ack.clone(), &mut store);
    let second = stream.poll(&mut store, now);
    assert_eq!(crate::scene::brief(&second[0]), "EDS ns/b/80");
    // An ACK that comes twice is stale the second time.
    stream.on_request(ack, &mut store);
    assert_eq!(stream.node().kinds[&Kind::Endpoints].acks, 1);
}

#[test]
fn an_unknown_type_is_ignored() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.came(peer);
    let unknown = DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/envoy.service.runtime.v3.Runtime".to_owned(),
        ..Default::default()
    };
    scene.gateway(peer).outbox.push_back(unknown);
    scene.settle();
    assert_eq!(scene.came(peer), Vec::<String>::new());
}

#[test]
fn what_changes_while_a_response_is_out_is_sent_once_and_newest() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![endpoints("ns/a/80", "1")]);
    let first = scene.poll(peer);
    assert_eq!(first.len(), 1);
    for i in 2..100 {
        scene.publish(vec![endpoints("ns/a/80", &i.to_string())]);
        assert!(scene.poll(peer).is_empty());
    }
    assert_eq!(scene.node(peer).kinds[&Kind::Endpoints].due, 1);
    for response in first {
        scene.gateway(peer).take(&response);
    }
    scene.settle();
    assert_eq!(scene.came(peer), ["EDS ns/a/80", "EDS ns/a/80"]);
    let body = scene.gateway(peer).body(Kind::Endpoints, "ns/a/80");
    assert_eq!(body, Some("99"));
}

#[test]
fn a_gateway_that_never_answers_harms_only_itself() {
    let mut scene = Scene::new();
    let mut gateway = Gateway::new("mute");
    gateway.mute = true;
    let mute = scene.join(gateway);
    let other = scene.join_ready("other");
    for i in 0..200 {
        scene.publish(ingress(&format!("i{i}"), &[&format!("h{i}.example.com")]));
    }
    scene.settle();
    scene.pass(std::time::Duration::from_secs(3));
    assert_eq!(scene.gateway(mute).log.len(), 1);
    assert_eq!(scene.node(mute).acked, None);
    assert_eq!(scene.gateway(other).names(Kind::RouteTable).len(), 201);
    scene.assert_unharmed();
}

#[test]
fn a_gateway_without_endpoints_gets_the_rest() {
    let mut scene = Scene::new();
    let mut gateway = Gateway::new("gw");
    gateway.without.insert(Kind::Endpoints);
    let peer = scene.join(gateway);
    scene.publish(ingress("a", &["a.example.com"]));
    scene.settle();
    assert!(scene.gateway(peer).is_ready());
    assert_eq!(scene.gateway(peer).names(Kind::RouteTable).len(), 2);
}

#[test]
fn readiness_waits_for_all_that_was_there() {
    let mut scene = Scene::new();
    let world = (0..1200).flat_map(|i| ingress(&format!("i{i}"), &[&format!("h{i}.example.com")]));
    scene.publish(world.collect());
    let peer = scene.join_ready("gw");
    let came = scene.came(peer);
    assert_eq!(came.last().unwrap(), "RDS sluice/readiness");
    let place = |kind: &str| came.iter().position(|line| line.starts_with(kind));
    let last_cluster = came.iter().rposition(|line| line.starts_with("CDS"));
    assert!(last_cluster < place("SRDS"));
    let sizes = came.iter().map(|line| line.split(' ').count() - 1);
    assert!(sizes.max().unwrap() <= 500);
    scene.assert_unharmed();
}

#[test]
fn readiness_is_not_held_up_by_what_comes_later() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join(Gateway::new("gw"));
    // Something changes before every single answer.
    for i in 0..40 {
        scene.publish(vec![endpoints("ns/a/80", &i.to_string())]);
        scene.ask(peer);
        for response in scene.poll(peer) {
            scene.gateway(peer).take(&response);
        }
    }
    assert!(scene.gateway(peer).is_ready());
}

#[test]
fn a_scope_without_a_table_to_send_does_not_block() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.came(peer);
    scene.publish(vec![scope("ext/ns/a/a.example.com")]);
    scene.settle();
    assert_eq!(
        scene.came(peer),
        ["SRDS ext/a.example.com", "RDS -ext/ns/a"]
    );
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}

#[test]
fn the_readiness_table_follows_its_changes() {
    let mut scene = Scene::new();
    let peer = scene.join_ready("gw");
    scene.publish(vec![table(name::READINESS_TABLE, "v2"), listener()]);
    scene.settle();
    let body = scene
        .gateway(peer)
        .body(Kind::RouteTable, name::READINESS_TABLE);
    assert_eq!(body, Some("v2"));
}

#[test]
fn readiness_needs_no_further_event_when_the_last_thing_due_was_nothing() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    // A change that is taken back before anybody looked.
    let before = scene.world[&(Kind::RouteTable, "ext/ns/a".to_owned())].clone();
    scene.publish(vec![table("ext/ns/a", "v2")]);
    scene.publish(vec![before, table(name::READINESS_TABLE, "v2")]);
    let responses = scene.poll(peer);
    let brief: Vec<String> = responses.iter().map(crate::scene::brief).collect();
    assert_eq!(brief, ["RDS sluice/readiness"]);
}

#[test]
fn an_ack_of_what_is_no_longer_wanted_makes_nothing_held() {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    let peer = scene.join_ready("gw");
    scene.publish(vec![endpoints("ns/a/80", "10.0.0.2")]);
    let out = scene.poll(peer);
    scene
        .gateway(peer)
        .drop_interest(Kind::Endpoints, "ns/a/80");
    out.iter().for_each(|r| scene.gateway(peer).take(r));
    scene.settle();
    assert_eq!(scene.node(peer).kinds[&Kind::Endpoints].held, 0);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
}
