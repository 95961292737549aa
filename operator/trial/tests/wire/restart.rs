//! The xDS server as a process of its own, killed under load: gateways serve on.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sluice_trial::certificate::issue;
use sluice_trial::dial::Tls;
use sluice_trial::gateway::{Gateway, Place};
use sluice_trial::line::{Ask, Line, Mode, Target};
use sluice_trial::manifest;
use sluice_trial::prober::{Load, Prober};
use sluice_trial::remote::{Remote, Sent};

use crate::stage::{
    NAMESPACE, alone, backends, echo, envoy, get, ingress, path, rule, service, simple, split,
    split_setting,
};

const SERVER: &str = env!("CARGO_BIN_EXE_sluice-trial-xds");
const INGRESSES: usize = 50;

fn version(number: &str) -> Value {
    let split = split_setting("b", 100, "x-version", number);
    ingress(
        "versioned",
        &json!({"rules": [rule("v.example.com", &[path(&[split])])]}),
    )
}

fn write(folder: &Path, name: &str, manifests: &[Value]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, manifest::yaml(manifests)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again_under_load() {
    let _turn = alone().await;
    let Some(envoy) = envoy() else { return };
    let [backend] = backends(["b"]).await;
    let place = Place::new().unwrap();
    let (edge, socket) = (place.edge().clone(), place.xds_socket());
    let folder = place.folder().to_owned();
    let mut world = service("b", &[backend.address()]);
    let pair = issue(&["tls.example.com"]).unwrap();
    world.push(pair.secret(NAMESPACE, "tls"));
    world.push(ingress("tls", &json!({
        "tls": [{"hosts": ["tls.example.com"], "secretName": "tls", "secretNamespace": NAMESPACE}],
        "rules": [rule("tls.example.com", &[path(&[split("b", 100)])])],
    })));
    for number in 0..INGRESSES {
        world.push(simple(
            &format!("i-{number}"),
            &format!("h-{number}.example.com"),
            "b",
        ));
    }
    let base = write(&folder, "base.yaml", &world);
    let one = write(&folder, "one.yaml", &[version("1")]);
    let start =
        |files: &[PathBuf]| Remote::start(Path::new(SERVER), &edge, &socket, files).unwrap();
    let mut server = start(&[base.clone(), one.clone()]);
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
    let whole = server.settled().await.unwrap();
    assert!(whole.resources() > 2 * INGRESSES as u64, "{whole:?}");

    let first = received(&gateway).await;

    let probe = |target: Target, host: &str, rate| {
        let ask = Ask::get(host, "/");
        Prober::start(Load { target, ask, rate })
    };
    let external = edge.external_http;
    let mut probers = vec![
        probe(
            Target::plain(external, Mode::KeepAlive),
            "v.example.com",
            300,
        ),
        probe(Target::plain(external, Mode::Fresh), "h-1.example.com", 100),
        probe(Target::plain(external, Mode::Http2), "h-2.example.com", 100),
        probe(
            Target::tls(
                edge.external_https,
                Mode::Fresh,
                Tls::http1("tls.example.com"),
            ),
            "tls.example.com",
            10,
        ),
    ];
    for prober in &mut probers {
        prober.more(5).await;
    }

    // Killed and started again with the same world, three times.
    for _ in 0..3 {
        server.kill().await.unwrap();
        for prober in &mut probers {
            prober.more(10).await;
        }
        server = start(&[base.clone(), one.clone()]);
        let again = server.settled().await.unwrap();
        assert_eq!(
            again,
            Sent {
                kinds: again.kinds.clone(),
                ..Sent::default()
            }
        );
        assert_eq!((again.resources(), again.bytes()), (0, 0), "{again:?}");
    }
    // Envoy's own count, framing and empty answers included.
    let again = received(&gateway).await - first;
    println!(
        "whole world: {} resources, {} bytes in {first} on the wire; three restarts: {again} on the wire",
        whole.resources(),
        whole.bytes(),
    );
    assert!(again < 3 * 1024, "{again} bytes for nothing that changed");

    // Killed, and one Ingress is another when it starts again: that one alone is sent.
    server.kill().await.unwrap();
    let two = write(&folder, "two.yaml", &[version("2")]);
    server = start(&[base.clone(), two.clone()]);
    let changed = server.settled().await.unwrap();
    assert_eq!(
        changed.kinds.keys().collect::<Vec<_>>(),
        ["RDS"],
        "{changed:?}"
    );
    assert_eq!(
        (changed.resources(), changed.removals),
        (2, 0),
        "one table on each side"
    );
    let line = Line::new(Target::plain(external, Mode::Fresh));
    let reply = line
        .send(&Ask::get("v.example.com", "/"))
        .await
        .outcome
        .unwrap();
    assert_eq!(echo(&reply).received.values("x-version"), ["2"]);

    // Killed, and one Ingress is gone when it starts again: the rest stays.
    server.kill().await.unwrap();
    let fewer: Vec<Value> = world
        .iter()
        .filter(|manifest| manifest["metadata"]["name"] != "i-7")
        .cloned()
        .collect();
    let fewer = write(&folder, "fewer.yaml", &fewer);
    server = start(&[fewer, two]);
    let gone = server.settled().await.unwrap();
    assert_eq!(gone.resources(), 0, "{gone:?}");
    crate::stage::eventually("a 404 for what is gone", || async {
        get(external, "h-7.example.com", "/").await.status == 404
    })
    .await;
    assert_eq!(get(external, "h-8.example.com", "/").await.status, 200);

    for prober in probers {
        let report = prober.stop().await.unwrap();
        println!("{} requests, {} failed", report.sent, report.failed());
        assert_eq!(report.lost(200), Vec::<String>::new());
    }
    server.kill().await.unwrap();
}

/// Bytes that Envoy has received from xDS servers since it started.
async fn received(gateway: &Gateway) -> u64 {
    let name = "cluster.xds.upstream_cx_rx_bytes_total";
    gateway
        .stat(name)
        .await
        .unwrap()
        .expect("this statistic is kept")
}

/// A gateway that starts while the server is away is not ready and answers no
/// 404; it serves as soon as the server is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_server_opens_nothing() {
    let Some(envoy) = envoy() else { return };
    let [backend] = backends(["b"]).await;
    let place = Place::new().unwrap();
    let (edge, socket) = (place.edge().clone(), place.xds_socket());
    let mut world = service("b", &[backend.address()]);
    world.push(simple("i", "h.example.com", "b"));
    let base = write(place.folder(), "base.yaml", &world);
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    for address in [edge.external_http, edge.internal_http, edge.readiness] {
        let line = Line::new(Target::plain(address, Mode::Fresh));
        let outcome = line
            .send(&Ask::get("h.example.com", "/ready"))
            .await
            .outcome;
        assert!(
            outcome.is_err(),
            "{address} answers without a configuration: {outcome:?}"
        );
    }
    let mut server = Remote::start(Path::new(SERVER), &edge, &socket, &[base]).unwrap();
    gateway.ready().await.unwrap();
    server.settled().await.unwrap();
    assert_eq!(
        get(edge.external_http, "h.example.com", "/").await.status,
        200
    );
    server.kill().await.unwrap();
    assert_eq!(
        get(edge.external_http, "h.example.com", "/").await.status,
        200
    );
}
