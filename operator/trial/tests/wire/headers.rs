//! What reaches the backend of a client's headers.

use http::HeaderMap;
use serde_json::json;
use sluice_trial::line::{Ask, Line, Mode, Target};

use crate::stage::{backends, echo, ingress, rule, service, split_setting, stage};

/// Values that a client may send for a header that is set on its way.
const HOSTILE: [&str; 12] = [
    "client", "", " ", "a,b", "a, set", "set", "SET", "\"set\"", "%00", "é", "set\tset", "*",
];

#[tokio::test(flavor = "multi_thread")]
async fn append_headers_set_and_never_append() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    let spec = json!({"rules": [rule("h.example.com", &[json!({
        "splits": [split_setting("b", 100, "X-Split", "split")],
        "appendHeaders": {"X-Path": "path", "X-Split": "overruled"},
    })])]});
    objects.push(ingress("h", &spec));
    stage.apply(&objects).await;
    for mode in [Mode::KeepAlive, Mode::Http2] {
        let line = Line::new(Target::plain(stage.edge().external_http, mode));
        for hostile in HOSTILE {
            for name in ["x-path", "X-PATH", "x-split", "X-Split"] {
                let ask = Ask::get("h.example.com", "/")
                    .header(name, hostile)
                    .header(name, "twice");
                let answer = line.send(&ask).await;
                let received = echo(&answer.outcome.unwrap()).received;
                assert_eq!(received.values("x-path"), ["path"], "{name}: {hostile:?}");
                assert_eq!(received.values("x-split"), ["split"], "{name}: {hostile:?}");
            }
        }
        // Underscores make another header, which passes but takes nothing over.
        let ask = Ask::get("h.example.com", "/").header("x_path", "client");
        let received = echo(&line.send(&ask).await.outcome.unwrap()).received;
        assert_eq!(received.values("x-path"), ["path"]);
    }
}

/// Headers that only Knative's own parts may set (design: control headers).
const CONTROL: [&str; 6] = [
    "Knative-Serving-Revision",
    "Knative-Serving-Namespace",
    "Knative-Serving-Default-Route",
    "K-Proxy-Request",
    "K-Passthrough-Lb",
    "K-Original-Host",
];

#[tokio::test(flavor = "multi_thread")]
async fn spoofed_control_headers_are_gone_and_others_pass() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    let spec = json!({"rules": [rule("h.example.com", &[json!({
        "splits": [split_setting("b", 100, "Knative-Serving-Revision", "true-one")],
    })])]});
    objects.push(ingress("h", &spec));
    stage.apply(&objects).await;
    let passing = [
        ("knative-serving-tag", "t"),
        ("k-network-hash", "abc"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("x-request-id", "mine"),
    ];
    for mode in [Mode::KeepAlive, Mode::Http2] {
        let line = Line::new(Target::plain(stage.edge().external_http, mode));
        let mut ask = Ask::get("h.example.com", "/");
        for name in CONTROL {
            for spelling in [name.to_owned(), name.to_uppercase(), name.to_lowercase()] {
                ask = ask.header(&spelling, "spoofed");
            }
        }
        for (name, value) in passing {
            ask = ask.header(name, value);
        }
        ask = ask
            .header("x-envoy-retry-on", "5xx")
            .header("x-envoy-upstream-rq-timeout-ms", "1");
        let reply = line.send(&ask).await.outcome.unwrap();
        let received = echo(&reply).received;
        assert_eq!(received.values("knative-serving-revision"), ["true-one"]);
        for name in CONTROL.iter().skip(1) {
            let values = received.values(&name.to_lowercase());
            assert!(values.is_empty(), "{name} came through: {values:?}");
        }
        for (name, value) in &passing[..3] {
            assert_eq!(received.values(name), [*value]);
        }
        for name in ["x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms"] {
            assert_eq!(received.values(name), [""; 0], "{name}");
        }
        assert_eq!(received.values("x-forwarded-proto"), ["http"]);
        // Which address stands there for a peer on loopback is Envoy's choice.
        assert_eq!(received.values("x-forwarded-for").len(), 1);
        assert!(no_envoy_header(&reply.headers), "{:?}", reply.headers);
    }
}

fn no_envoy_header(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .all(|name| !name.as_str().starts_with("x-envoy-"))
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_learn_the_hash_of_what_is_served() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    let ingress = crate::stage::simple("h", "h.example.com", "b");
    objects.push(ingress.clone());
    stage.apply(&objects).await;
    let line = Line::new(Target::plain(stage.edge().external_http, Mode::KeepAlive));
    let probe = |hash: &str| {
        Ask::get("h.example.com", "/healthz")
            .header("k-network-probe", "probe")
            .header("k-network-hash", hash)
    };
    let reply = line.send(&probe("override")).await.outcome.unwrap();
    let hash = reply.header("k-network-hash").to_owned();
    assert_eq!((reply.status, hash.len()), (200, 64), "{reply:?}");
    assert!(hash.bytes().all(|b| b.is_ascii_hexdigit()));
    let reply = line.send(&probe("other")).await.outcome.unwrap();
    assert_eq!(
        (reply.status, reply.header("k-network-hash")),
        (200, "other")
    );
    assert_eq!(backend.hits(), 0, "probes are no requests");
}
