//! Shapes that no gateway has accepted yet.

use std::time::Duration;

use sluice_envoy::{Kind, Resource};

use crate::scene::{Scene, ingress, table};

const WAIT: Duration = Duration::from_secs(2);

fn new_shape(body: &str) -> Resource {
    Resource {
        shape: 77,
        ..table("ext/ns/a", body)
    }
}

/// Three gateways that hold Ingress `a`.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.publish(ingress("a", &["a.example.com"]));
    for id in ["one", "two", "three"] {
        let peer = scene.join_ready(id);
        scene.came(peer);
    }
    scene
}

#[test]
fn one_gateway_tries_a_new_shape_and_then_all_get_it() {
    let mut scene = scene();
    scene.publish(vec![new_shape("v2")]);
    let tried = scene.poll(0);
    assert_eq!(tried.len(), 1);
    assert!(scene.poll(1).is_empty() && scene.poll(2).is_empty());
    for response in tried {
        scene.gateway(0).take(&response);
    }
    let before = scene.store.epoch();
    scene.ask(0);
    assert!(scene.store.epoch() > before, "others are woken");
    assert_eq!(scene.poll(1).len(), 1);
    // What is proven is proven.
    scene.settle();
    scene.publish(vec![new_shape("v3")]);
    assert_eq!(scene.poll(2).len(), 1);
}

#[test]
fn a_silent_canary_delays_but_does_not_stop() {
    let mut scene = scene();
    scene.gateway(0).mute = true;
    scene.publish(vec![new_shape("v2")]);
    scene.settle();
    assert_eq!(scene.came(1), Vec::<String>::new());
    let wakeup = scene.peers[1].stream.as_ref().unwrap().next_wakeup();
    assert_eq!(wakeup, Some(scene.now + WAIT));
    scene.pass(WAIT);
    assert_eq!(scene.came(1), ["RDS ext/ns/a"]);
    assert_eq!(scene.came(2), ["RDS ext/ns/a"]);
}

#[test]
fn a_gateway_that_was_late_is_not_asked_to_try_again() {
    let mut scene = scene();
    scene.gateway(0).mute = true;
    scene.publish(vec![new_shape("v2")]);
    scene.settle();
    scene.pass(WAIT);
    let other = Resource {
        shape: 78,
        ..crate::scene::cluster("ns/a/80", "v2")
    };
    scene.came(1);
    scene.publish(vec![other]);
    // The first stream looks first, and others do not wait for it.
    assert_eq!(scene.poll(0).len(), 2, "cluster and assignment");
    assert_eq!(scene.poll(1).len(), 2);
}

#[test]
fn a_bad_new_shape_reaches_one_gateway_only() {
    let mut scene = scene();
    scene.publish(vec![new_shape("BAD")]);
    scene.settle();
    scene.pass(WAIT * 2);
    assert_eq!(scene.came(0), ["RDS ext/ns/a"]);
    assert_eq!(scene.came(1), Vec::<String>::new());
    assert_eq!(scene.came(2), Vec::<String>::new());
    assert_eq!(scene.store.quarantined().len(), 1);
    for peer in 0..3 {
        assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
    }
}

#[test]
fn a_canary_that_goes_away_frees_the_others() {
    let mut scene = scene();
    scene.gateway(0).mute = true;
    scene.publish(vec![new_shape("v2")]);
    scene.settle();
    assert_eq!(scene.came(1), Vec::<String>::new());
    scene.cut(0);
    scene.settle();
    assert_eq!(scene.came(1), ["RDS ext/ns/a"]);
    assert_eq!(scene.came(2), ["RDS ext/ns/a"]);
}

#[test]
fn endpoints_are_never_held_back() {
    let mut scene = scene();
    let endpoints = Resource {
        shape: 99,
        ..crate::scene::endpoints("ns/a/80", "10.0.0.3")
    };
    assert_eq!(endpoints.kind, Kind::Endpoints);
    scene.publish(vec![endpoints]);
    for peer in 0..3 {
        assert_eq!(scene.poll(peer).len(), 1);
    }
}
