//! Probes that the gateway answers itself.

use serde_json::json;
use sluice_envoy::ProbeKey;
use sluice_trial::gateway::{Gateway, Place};
use sluice_trial::line::{Ask, Reply};
use sluice_trial::server::Server;
use sluice_xds::Settings;

use crate::stage::{Stage, ask, envoy, ingress, local_rule, path, rule, split};

const KEY: &str = "0123456789abcdef";
const PUBLIC: &str = "probed.example.com";
const PRIVATE: &str = "probed.trial.svc.cluster.local";

async fn stage() -> Option<Stage> {
    let envoy = envoy()?;
    let mut place = Place::new().unwrap();
    place.edge_mut().probe_key = Some(ProbeKey::new(KEY));
    let socket = place.xds_socket();
    let server = Server::start(place.edge(), &socket, Settings::default(), Vec::new()).unwrap();
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
    Some(Stage { gateway, server })
}

fn probe(host: &str, key: &str) -> Ask {
    let mut probe = Ask::get(host, "/healthz");
    for (name, value) in [
        ("user-agent", "Knative-Ingress-Probe"),
        ("k-network-probe", "probe"),
        ("k-network-hash", "override"),
        ("x-sluice-probe", key),
    ] {
        probe = probe.header(name, value);
    }
    probe
}

fn hash(reply: &Reply) -> &str {
    reply.header("k-network-hash")
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_key_the_gateway_says_itself_which_generation_it_serves() {
    let Some(mut stage) = stage().await else {
        return;
    };
    // No Service is there: whatever answers 200 is the gateway.
    let spec = json!({"rules": [
        rule(PUBLIC, &[path(&[split("absent", 100)])]),
        local_rule(PRIVATE, &[path(&[split("absent", 100)])]),
    ]});
    stage.apply(&[ingress("probed", &spec)]).await;
    let external = stage.edge().external_http;
    let internal = stage.edge().internal_http;

    let mut hashes = Vec::new();
    for (address, host) in [(external, PUBLIC), (internal, PUBLIC), (internal, PRIVATE)] {
        let reply = ask(address, probe(host, KEY)).await;
        assert_eq!(reply.status, 200, "{host} on {address}");
        assert_eq!(hash(&reply).len(), 64, "{host} on {address}");
        hashes.push(hash(&reply).to_owned());
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "one generation, one hash");

    let without = ask(external, probe(PUBLIC, "guessed")).await;
    assert_eq!(without.status, 503, "without the key the backend is asked");
    let outside = ask(external, probe(PRIVATE, KEY)).await;
    assert_eq!(
        outside.status, 404,
        "a cluster-local host is nowhere outside"
    );

    let other = json!({"rules": [rule(PUBLIC, &[json!({
        "splits": [split("absent", 100)],
        "appendHeaders": {"x-new": "1"},
    })])]});
    stage.apply(&[ingress("probed", &other)]).await;
    let reply = ask(external, probe(PUBLIC, KEY)).await;
    assert_eq!(reply.status, 200);
    assert_ne!(hash(&reply), hashes[0], "another generation, another hash");
}
