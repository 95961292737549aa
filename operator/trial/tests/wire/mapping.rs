//! DomainMappings: one hop answers what two hops answer.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sluice_ir::{ObjectKey, Reason};
use sluice_trial::backend::{Echo, NAME_HEADER};
use sluice_trial::line::{Ask, Line, Mode, Reply, Target};
use sluice_trial::server::PRIVATE_GATEWAY;
use sluice_trial::websocket::Socket;
use tokio::time::Instant;

use crate::stage::{
    NAMESPACE, backends, external_name, get, ingress, local_rule, path, rule, service, split,
    split_setting, stage,
};

const PRIVATE: &str = "target.trial.svc.cluster.local";
const MAPPED: &str = "mapped.example.com";

/// The Ingress of a ksvc: tags by header, paths, headers at both levels.
fn target() -> Value {
    let tagged = json!({
        "headers": {"Knative-Serving-Tag": {"exact": "blue"}},
        "splits": [split_setting("blue", 100, "Knative-Serving-Revision", "blue-1")],
        "appendHeaders": {"x-level": "target-path"},
    });
    let api = json!({
        "path": "/api",
        "splits": [split_setting("api", 100, "Knative-Serving-Revision", "api-1")],
    });
    let rest = json!({
        "splits": [split_setting("main", 100, "Knative-Serving-Revision", "main-1")],
        "appendHeaders": {"Knative-Serving-Default-Route": "true", "x-both": "target"},
    });
    ingress(
        "target",
        &json!({"rules": [local_rule(PRIVATE, &[tagged, api, rest])]}),
    )
}

/// The Ingress of a DomainMapping whose backend is this Service.
fn mapping(name: &str, host: &str, service: &str) -> Value {
    ingress(
        name,
        &json!({"rules": [rule(host, &[json!({
            "rewriteHost": PRIVATE,
            "splits": [split_setting(service, 100, "K-Original-Host", host)],
            "appendHeaders": {"x-both": "mapping", "x-mapping": "set"},
        })])]}),
    )
}

/// What a backend saw of a request, without what differs by nature: the number
/// of proxies on the way, and the identity of the request.
fn seen(reply: &Reply) -> (u16, String, Option<Echo>) {
    let echo = serde_json::from_slice::<Echo>(&reply.body)
        .ok()
        .map(|mut echo| {
            echo.received.headers.retain(|(name, _)| {
                ![
                    "x-forwarded-for",
                    "x-forwarded-proto",
                    "x-envoy-external-address",
                    "x-request-id",
                ]
                .contains(&name.as_str())
            });
            echo.received.headers.sort();
            for (name, value) in &mut echo.received.headers {
                if name == "k-original-host" {
                    assert!(value.starts_with("mapped"), "{value}");
                    *value = "mapped".to_owned();
                }
            }
            echo
        });
    (reply.status, reply.header(NAME_HEADER).to_owned(), echo)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hop_equals_two() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [main, api, blue] = backends(["main", "api", "blue"]).await;
    let mut objects = Vec::new();
    for backend in [&main, &api, &blue] {
        objects.extend(service(backend.name(), &[backend.address()]));
    }
    let inside: SocketAddr = stage.edge().internal_http;
    objects.push(target());
    objects.push(external_name("crossed", PRIVATE_GATEWAY));
    objects.push(mapping("one", MAPPED, "crossed"));
    // Two hops: a Service whose endpoint is the internal listener itself, so
    // that nothing tells it from any other backend.
    objects.extend(service("hop", &[inside]));
    objects.push(mapping("two", "mapped-twice.example.com", "hop"));
    stage.apply(&objects).await;

    let external = stage.edge().external_http;
    let mut compared = 0;
    for mode in [Mode::KeepAlive, Mode::Http2] {
        for request_path in [
            "/",
            "/api",
            "/api/x?y=z",
            "/apix",
            "/other",
            "/?status=503",
            "/api?status=404",
        ] {
            for headers in [
                vec![],
                vec![("knative-serving-tag", "blue")],
                vec![("knative-serving-tag", "red")],
                vec![
                    ("x-both", "client"),
                    ("x-mapping", "client"),
                    ("x-level", "client"),
                ],
                vec![
                    ("k-original-host", "spoofed"),
                    ("knative-serving-revision", "spoofed"),
                ],
            ] {
                let mut answers = Vec::new();
                for host in [MAPPED, "mapped-twice.example.com"] {
                    let mut ask = Ask::post(host, request_path, "body");
                    for (name, value) in &headers {
                        ask = ask.header(name, value);
                    }
                    let line = Line::new(Target::plain(external, mode));
                    answers.push(seen(&line.send(&ask).await.outcome.unwrap()));
                }
                assert_eq!(
                    answers[0], answers[1],
                    "{mode:?} {request_path} {headers:?}"
                );
                let (_, backend, echo) = &answers[0];
                if let Some(echo) = echo {
                    assert_eq!(echo.received.host, PRIVATE, "the Host is rewritten");
                    assert_eq!(echo.received.values("k-original-host"), ["mapped"]);
                    assert_eq!(echo.received.values("x-mapping"), ["set"]);
                }
                assert!(!backend.is_empty());
                compared += 1;
            }
        }
    }
    println!("one hop equals two in {compared} requests");
    // Which it truly was: the internal listener saw nothing of the first.
    let before = inside_requests(&stage).await;
    assert_eq!(get(external, MAPPED, "/").await.status, 200);
    assert_eq!(inside_requests(&stage).await, before, "one hop");
    assert_eq!(
        get(external, "mapped-twice.example.com", "/").await.status,
        200
    );
    assert_eq!(inside_requests(&stage).await, before + 1, "two hops");

    // WebSockets need no annotation.
    let target = Target::plain(external, Mode::Fresh);
    let mut socket = Socket::open(&target, &Ask::get(MAPPED, "/ws"))
        .await
        .unwrap();
    let reply = socket.echo("hello", &mut Instant::now()).await.unwrap();
    assert_eq!(reply.body, "hello");

    // The target changes: the mapping follows. It goes: 404, as with two hops.
    let only_api = json!({"rules": [local_rule(PRIVATE, &[path(&[split("api", 100)])])]});
    stage.apply(&[ingress("target", &only_api)]).await;
    for host in [MAPPED, "mapped-twice.example.com"] {
        assert_eq!(
            get(external, host, "/").await.header(NAME_HEADER),
            "api",
            "{host}"
        );
    }
    stage
        .delete(sluice_translate::ObjectKind::Ingress, "target")
        .await;
    for host in [MAPPED, "mapped-twice.example.com"] {
        assert_eq!(get(external, host, "/").await.status, 404, "{host}");
    }
}

/// Requests that the internal plain listener has taken.
async fn inside_requests(stage: &crate::stage::Stage) -> u64 {
    let stats = stage.gateway.admin().stats("http.internal").await.unwrap();
    let of_plain: Vec<_> = stats
        .iter()
        .filter(|(name, _)| name.ends_with(".downstream_rq_total") && !name.contains("https"))
        .collect();
    assert_eq!(of_plain.len(), 1, "{stats:?}");
    *of_plain[0].1
}

/// Rewrites that lead back into a gateway end with an answer, not in a circle:
/// to itself, to each other, and to a target that rewrites in its turn.
#[tokio::test(flavor = "multi_thread")]
async fn loops_end() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [main] = backends(["main"]).await;
    let mut objects = service("main", &[main.address()]);
    objects.push(external_name("crossed", PRIVATE_GATEWAY));
    let rewriting = |name: &str, host: &str, to: &str| {
        let mut path = path(&[split("crossed", 100)]);
        path["rewriteHost"] = json!(to);
        ingress(name, &json!({"rules": [rule(host, &[path])]}))
    };
    let hosts = [
        ("self", "self.example.com", "self.example.com"),
        ("ping", "ping.example.com", "pong.example.com"),
        ("pong", "pong.example.com", "ping.example.com"),
        ("deep", "deep.example.com", "middle.example.com"),
        ("middle", "middle.example.com", PRIVATE),
    ];
    objects.extend(hosts.map(|(name, host, to)| rewriting(name, host, to)));
    let end = json!({"rules": [local_rule(PRIVATE, &[path(&[split("main", 100)])])]});
    objects.push(ingress("target", &end));
    let published = stage.apply(&objects).await;
    for (name, host, _) in hosts {
        let verdict = &published.changes.verdicts[&ObjectKey::new(NAMESPACE, name)];
        let looped = verdict
            .rejections
            .iter()
            .any(|r| r.reason == Reason::RewriteLoop);
        assert_eq!(looped, name != "middle", "{name}: {verdict:?}");
        for address in [stage.edge().external_http, stage.edge().internal_http] {
            let expected = if name == "middle" { 200 } else { 503 };
            assert_eq!(get(address, host, "/").await.status, expected, "{name}");
        }
    }
    assert_eq!(
        main.hits(),
        2,
        "one answer on each side, by the one that ends"
    );
    assert_eq!(inside_requests(&stage).await, hosts.len() as u64);
}
