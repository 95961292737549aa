mod gateway;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderValue, Response};
use http_body_util::Empty;
use sluice_ir::{Host, Side};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{Found, Ports, ProbeError, Prober, Target};
use gateway::{Respond, gateway, with_hash, with_status};

const KEY: &str = "a-secret-of-the-operator";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn ports(port: u16) -> Ports {
    Ports {
        external_http: port,
        external_https: port,
        internal_http: port,
        internal_https: port,
    }
}

fn prober(port: u16, workers: u32) -> Prober {
    Prober::new(ports(port), KEY.to_owned(), workers).unwrap()
}

fn target(host: &str, tls: bool) -> Target {
    Target {
        gateway: HERE,
        side: Side::External,
        tls,
        host: Host::parse(host).unwrap(),
        hash: "the hash".to_owned(),
    }
}

#[tokio::test]
async fn each_connection_is_fresh_and_asks_as_gateways_expect() {
    let (port, seen) = gateway(false, |_| with_hash("the hash")).await;
    let confirmed = prober(port, 4)
        .confirm(&[target("a.example.com", false)])
        .await;
    assert_eq!(confirmed, Ok(()));
    assert_eq!(seen.connections.load(Ordering::SeqCst), 4);
    let requests = seen.requests.lock().unwrap();
    assert_eq!(requests.len(), 4);
    let expected = [
        ("host", "a.example.com"),
        ("user-agent", "Knative-Ingress-Probe"),
        ("connection", "close"),
        ("k-network-probe", "probe"),
        ("k-network-hash", "override"),
        ("x-sluice-probe", KEY),
    ];
    for (_, headers) in requests.iter() {
        assert_eq!(headers.len(), expected.len(), "{headers:?}");
        for (name, value) in expected {
            assert_eq!(headers[name], value);
        }
    }
}

#[tokio::test]
async fn tls_names_the_host_and_takes_any_certificate() {
    let (port, seen) = gateway(true, |_| with_hash("the hash")).await;
    let targets = [
        target("a.example.com", true),
        target("b_c.example.com", true),
    ];
    assert_eq!(prober(port, 2).confirm(&targets).await, Ok(()));
    assert_eq!(seen.connections.load(Ordering::SeqCst), 4);
    let requests = seen.requests.lock().unwrap();
    for (name, headers) in requests.iter() {
        assert_eq!(name.as_deref().unwrap(), headers["host"].to_str().unwrap());
    }
}

#[tokio::test]
async fn each_listener_has_its_port() {
    let ports = Ports::default();
    let all = Side::ALL.map(|side| [ports.of(side, false), ports.of(side, true)]);
    assert_eq!(all, [[8080, 8443], [8081, 8444]]);
}

#[tokio::test]
async fn all_but_status_200_with_the_hash_is_refused() {
    let cases: [(Respond, Found, &str); 6] = [
        (
            |_| with_status(404),
            Found::Status(404),
            "found status 404,",
        ),
        (
            |_| with_status(301),
            Found::Status(301),
            "found status 301,",
        ),
        (
            |_| with_status(204),
            Found::Status(204),
            "found status 204,",
        ),
        (
            |_| Response::new(Empty::new()),
            Found::Hash(None),
            "found no k-network-hash,",
        ),
        (
            |_| with_hash("old"),
            Found::Hash(Some("old".to_owned())),
            "found k-network-hash old,",
        ),
        (
            |_| {
                let mut response = with_hash("the hash");
                let other = HeaderValue::from_static("other");
                response.headers_mut().append("k-network-hash", other);
                response
            },
            Found::Hash(Some("other".to_owned())),
            "found k-network-hash other,",
        ),
    ];
    for (respond, found, words) in cases {
        let (port, _) = gateway(false, respond).await;
        let target = target("a.example.com", false);
        let refused = prober(port, 1).confirm(&[target]).await.unwrap_err();
        assert_eq!(refused.found, found);
        let message = refused.to_string();
        let start = format!("gateway 127.0.0.1:{port}, external http, host a.example.com: {words}");
        assert!(message.starts_with(&start), "{message}");
        assert!(
            message.ends_with("expected status 200 with k-network-hash the hash"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn one_worker_that_is_behind_is_enough() {
    let (port, _) = gateway(false, |nth| {
        with_hash(["the hash", "old"][usize::from(nth == 3)])
    })
    .await;
    let refused = prober(port, 4)
        .confirm(&[target("a.example.com", false)])
        .await;
    assert_eq!(
        refused.unwrap_err().found,
        Found::Hash(Some("old".to_owned()))
    );
}

#[tokio::test]
async fn the_first_target_in_order_is_named() {
    let (port, _) = gateway(false, |_| with_hash("the hash")).await;
    let mut targets: Vec<Target> = (0..20)
        .map(|n| target(&format!("h{n}.test"), false))
        .collect();
    targets[7].hash = "new".to_owned();
    targets[11].hash = "new".to_owned();
    let refused = prober(port, 4).confirm(&targets).await.unwrap_err();
    assert_eq!(refused.host.as_str(), "h7.test");
    assert_eq!(refused.expected, "new");
}

#[tokio::test]
async fn many_targets_and_calls_share_the_bound_on_connections() {
    let (port, seen) = gateway(false, |_| with_hash("the hash")).await;
    let prober = prober(port, 4);
    let targets: Vec<Target> = (0..100)
        .map(|n| target(&format!("h{n}.test"), false))
        .collect();
    let calls = [prober.confirm(&targets), prober.confirm(&targets)];
    for confirmed in futures::future::join_all(calls).await {
        assert_eq!(confirmed, Ok(()));
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 800);
    // The server learns of an end a little later than the client.
    let most = seen.most_open.load(Ordering::SeqCst);
    assert!((16..=48).contains(&most), "{most} connections at a time");
}

#[tokio::test]
async fn silence_ends_after_a_second() {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    for tls in [false, true] {
        let start = Instant::now();
        let refused = prober(address.port(), 4)
            .confirm(&[target("a.test", tls)])
            .await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused.found, Found::Slow { .. }), "{refused}");
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn what_is_no_gateway_is_told_apart() {
    let free = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let refused = prober(port, 1).confirm(&[target("a.test", false)]).await;
    assert!(matches!(refused.unwrap_err().found, Found::Unreachable(_)));

    let (plain, _) = gateway(false, |_| with_hash("the hash")).await;
    let refused = prober(plain, 1).confirm(&[target("a.test", true)]).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused.found, Found::Handshake(_)), "{refused}");
    assert!(refused.to_string().contains("external https"), "{refused}");

    let closing = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = closing.local_addr().unwrap().port();
    tokio::spawn(async move { while closing.accept().await.is_ok() {} });
    let refused = prober(port, 1).confirm(&[target("a.test", false)]).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused.found, Found::NotHttp(_)), "{refused}");
}

#[tokio::test]
async fn no_targets_need_no_connection() {
    assert_eq!(prober(1, 4).confirm(&[]).await, Ok(()));
}

#[test]
fn the_key_is_never_shown() {
    let prober = prober(1, 0);
    assert!(!format!("{prober:?} {:?}", prober.key).contains("secret"));
    assert_eq!(prober.workers, 1, "none would confirm anything");
    for key in ["", "a\nsecret"] {
        let error = Prober::new(ports(1), key.to_owned(), 4).unwrap_err();
        assert!(matches!(error, ProbeError::Key { .. }));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

/// `confirm` is called from spawned tasks.
#[tokio::test]
async fn confirming_can_be_spawned() {
    let prober = prober(1, 4);
    let task = tokio::spawn(async move { prober.confirm(&[target("a.test", false)]).await });
    assert!(task.await.unwrap().is_err());
}
