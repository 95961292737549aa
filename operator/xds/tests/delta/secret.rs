//! Certificates, asked for by the SNI as a client spelt it.

use sluice_envoy::Kind;

use crate::scene::{Scene, secret};

fn scene() -> (Scene, usize) {
    let mut scene = Scene::new();
    scene.publish(vec![secret("a.example.com", "key")]);
    let peer = scene.join_ready("gw");
    scene.came(peer);
    (scene, peer)
}

#[test]
fn a_spelling_is_answered_under_its_own_name() {
    let (mut scene, peer) = scene();
    scene.gateway(peer).ask(Kind::Secret, "A.Example.COM");
    scene.settle();
    assert_eq!(scene.came(peer), ["SDS A.Example.COM"]);
    let body = scene.gateway(peer).body(Kind::Secret, "A.Example.COM");
    let body = body.unwrap();
    assert!(body.contains("A.Example.COM") && body.ends_with("key"));
}

#[test]
fn an_unknown_host_is_answered_by_a_removal_each_time() {
    let (mut scene, peer) = scene();
    for _ in 0..2 {
        scene.gateway(peer).ask(Kind::Secret, "b.example.com");
        scene.settle();
        assert_eq!(scene.came(peer), ["SDS -b.example.com"]);
    }
    scene.publish(vec![secret("b.example.com", "key")]);
    scene.gateway(peer).ask(Kind::Secret, "b.example.com");
    scene.settle();
    assert_eq!(scene.came(peer), ["SDS b.example.com"]);
}

#[test]
fn what_is_no_host_is_answered_by_a_removal() {
    let (mut scene, peer) = scene();
    for asked in ["*.example.com", "a b", "-_default!"] {
        scene.gateway(peer).ask(Kind::Secret, asked);
        scene.settle();
        assert_eq!(scene.came(peer), [format!("SDS -{asked}")]);
    }
}

#[test]
fn a_few_spellings_of_a_host_and_no_more() {
    let (mut scene, peer) = scene();
    let spellings = [
        "a.example.com",
        "A.example.com",
        "a.Example.com",
        "a.example.com.",
        "a.example.COM",
    ];
    for asked in spellings {
        scene.gateway(peer).ask(Kind::Secret, asked);
        scene.settle();
    }
    let came = scene.came(peer);
    assert_eq!(came[3], "SDS a.example.com.");
    assert_eq!(came[4], "SDS -a.example.COM");
    // A place that is given back may be taken.
    scene
        .gateway(peer)
        .drop_interest(Kind::Secret, "A.example.com");
    scene.gateway(peer).ask(Kind::Secret, "a.example.COM");
    scene.settle();
    assert_eq!(scene.came(peer), ["SDS a.example.COM"]);
}

#[test]
fn a_rotation_and_a_removal_reach_every_spelling() {
    let (mut scene, peer) = scene();
    for asked in ["a.example.com", "A.example.com"] {
        scene.gateway(peer).ask(Kind::Secret, asked);
    }
    scene.settle();
    scene.came(peer);
    scene.publish(vec![secret("a.example.com", "rotated")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["SDS A.example.com a.example.com"]);
    scene.change(Vec::new(), &[(Kind::Secret, "a.example.com")]);
    scene.settle();
    assert_eq!(scene.came(peer), ["SDS -A.example.com -a.example.com"]);
}

/// The roots of backends: asked for by clusters, under a name that no host has.
#[test]
fn what_is_no_certificate_of_a_host_has_one_name() {
    let (mut scene, peer) = scene();
    let roots = "sluice/backend-trust/00ff";
    scene.publish(vec![secret(roots, "one")]);
    scene.gateway(peer).ask(Kind::Secret, roots);
    scene.settle();
    assert_eq!(scene.came(peer), [format!("SDS {roots}")]);
    scene
        .gateway(peer)
        .ask(Kind::Secret, "sluice/backend-trust/00FF");
    scene.settle();
    assert_eq!(scene.came(peer), ["SDS -sluice/backend-trust/00FF"]);
    scene.publish(vec![secret(roots, "two")]);
    scene.settle();
    assert_eq!(scene.came(peer), [format!("SDS {roots}")]);
    scene.change(Vec::new(), &[(Kind::Secret, roots)]);
    scene.settle();
    assert_eq!(scene.came(peer), [format!("SDS -{roots}")]);
}

#[test]
fn nobody_gets_all_secrets() {
    let (mut scene, peer) = scene();
    scene.gateway(peer).ask(Kind::Secret, "*");
    scene.settle();
    assert_eq!(scene.came(peer), Vec::<String>::new());
}
