use std::collections::BTreeMap;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sluice_controller::QuorumView;
use sluice_envoy::Kind;
use sluice_xds::{Fleet, Node, Quarantined, Revision, StreamId, Traffic};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;
use crate::serve::fake_cluster::{FakeCluster, READER, STRANGER, control, until};

/// An operator's status on a port of its own, with a controller behind it.
struct Lab {
    cluster: Arc<FakeCluster>,
    health: Arc<Health>,
    port: u16,
    key: String,
    _tasks: JoinSet<()>,
}

impl Lab {
    async fn start() -> Self {
        let pair = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        let key = pair.signing_key.serialize_pem();
        let cluster = FakeCluster::of(objects(&pair.cert.pem(), &key));
        let client = cluster.client();
        let health = Arc::new(Health::default());
        let publisher = Publisher::default();
        let fleet = crate::serve::fleet::Fleet::new(publisher.clone(), "probe-key-of-the-test");
        let (mut tasks, inspector) = control(&cluster, Arc::new(fleet), &health);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let status = Status {
            identity: "operator-0_1".into(),
            access: AccessReviewer::new(client),
            inspector,
            health: Arc::clone(&health),
            publisher,
        };
        tasks.spawn(serve(listener, status));
        let lab = Self {
            cluster,
            health,
            port,
            key,
            _tasks: tasks,
        };
        until("every resource is listed", async || {
            lab.health.ready().is_ok()
        })
        .await;
        lab
    }

    async fn ask(&self, method: Method, target: &str, token: Option<&str>) -> (StatusCode, String) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let driven = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(target);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(
            response.headers().contains_key(header::WWW_AUTHENTICATE),
            status == StatusCode::UNAUTHORIZED
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        driven.abort();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, target: &str) -> Value {
        let (status, body) = self.ask(Method::GET, target, Some(READER)).await;
        assert_eq!(status, StatusCode::OK, "{target}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn objects(chain: &str, key: &str) -> BTreeMap<&'static str, Vec<Value>> {
    let service = |name: &str| {
        json!({
            "metadata": { "namespace": "default", "name": name },
            "spec": { "ports": [{ "name": "http", "port": 80 }] },
        })
    };
    let metadata = |name: &str| {
        let class = "sluice.ingress.networking.knative.dev";
        json!({
            "namespace": "default", "name": name, "uid": name, "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": { "networking.knative.dev/ingress.class": class },
        })
    };
    let split = |name: &str, percent: u8| {
        json!({
            "serviceNamespace": "default", "serviceName": name, "servicePort": 80,
            "percent": percent, "appendHeaders": { "Knative-Serving-Revision": name },
        })
    };
    let rule = |host: &str, splits: Value| {
        json!({
            "hosts": [host], "visibility": "ExternalIP",
            "http": { "paths": [{ "splits": splits }] },
        })
    };
    let shop = json!([split("shop-1", 90), split("shop-2", 10)]);
    let bad = json!([split("shop-1", 50)]);
    BTreeMap::from([
        (
            "ingresses",
            vec![
                json!({ "metadata": metadata("shop"), "spec": {
                    "rules": [rule("shop.example.com", shop)],
                    "tls": [{ "hosts": ["shop.example.com"], "secretNamespace": "default", "secretName": "shop-tls" }],
                } }),
                json!({ "metadata": metadata("bad"), "spec": { "rules": [rule("bad.example.com", bad)] } }),
            ],
        ),
        ("services", vec![service("shop-1")]),
        (
            "endpointslices",
            vec![json!({
                "metadata": {
                    "namespace": "default", "name": "shop-1-a",
                    "labels": { "kubernetes.io/service-name": "shop-1" },
                },
                "addressType": "IPv4",
                "endpoints": [{ "addresses": ["10.0.0.7"], "conditions": { "ready": true } }],
                "ports": [{ "name": "http", "port": 8012, "protocol": "TCP" }],
            })],
        ),
        (
            "secrets",
            vec![json!({
                "metadata": { "namespace": "default", "name": "shop-tls" },
                "type": "kubernetes.io/tls",
                "stringData": {},
                "data": { "tls.crt": base64(chain), "tls.key": base64(key) },
            })],
        ),
    ])
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap();
            out.push(if digit <= chunk.len() {
                char::from(DIGITS[index])
            } else {
                '='
            });
        }
    }
    out
}

#[tokio::test]
async fn without_a_token_nothing_without_the_right_nothing_either() {
    let lab = Lab::start().await;
    for path in [
        "/status/v1/operator",
        "/status/v1/plan?ingress=default/shop",
        "/no/such/path",
    ] {
        let (status, body) = lab.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(body.contains("none was sent"), "{body}");
        let (status, body) = lab.ask(Method::GET, path, Some("forged")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!body.contains("forged"), "{body}");
        let (status, body) = lab.ask(Method::GET, path, Some(STRANGER)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(
            body.contains("bind the ClusterRole sluice-status"),
            "{body}"
        );
    }
    let (status, _) = lab
        .ask(Method::POST, "/status/v1/operator", Some(READER))
        .await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_said_to_be() {
    let lab = Lab::start().await;
    for (target, status, words) in [
        (
            "/status/v1",
            StatusCode::NOT_FOUND,
            "here are /status/v1/operator",
        ),
        (
            "/status/v1/plan",
            StatusCode::BAD_REQUEST,
            "expected ingress=NAMESPACE/NAME",
        ),
        (
            "/status/v1/plan?ingress=a/b/c",
            StatusCode::BAD_REQUEST,
            "expected ingress=",
        ),
        (
            "/status/v1/plan?ingress=default/nobody",
            StatusCode::NOT_FOUND,
            "default/nobody",
        ),
        (
            "/status/v1/ingresses?name=x",
            StatusCode::BAD_REQUEST,
            "namespace=NAMESPACE",
        ),
    ] {
        let (found, body) = lab.ask(Method::GET, target, Some(READER)).await;
        assert_eq!(found, status, "{target}: {body}");
        assert!(body.contains(words), "{target}: {body}");
    }
}

#[tokio::test]
async fn the_plan_leads_from_hosts_to_addresses() {
    let lab = Lab::start().await;
    let mut page = lab.get("/status/v1/plan?ingress=default/shop").await;
    let hash = page["ingress"]["hash"].take();
    assert_eq!(hash.as_str().map(str::len), Some(64));
    let found = "found Service \"shop-2\", which does not exist in namespace \"default\", \
                 expected a Service of that namespace";
    let routes = json!([{
        "field": "spec.rules[0].http.paths[0]",
        "prefix": "/",
        "splits": [
            {
                "percent": 90, "cluster": "default/shop-1/80",
                "setHeaders": { "knative-serving-revision": "shop-1" },
            },
            {
                "percent": 10,
                "unavailable": format!("spec.rules[0].http.paths[0].splits[1].serviceName: {found}"),
            },
        ],
    }]);
    let rule = |side: &str| {
        json!({
            "side": side, "field": "spec.rules[0]", "hosts": ["shop.example.com"],
            "redirect": false, "routes": routes,
        })
    };
    let expected = json!({
        "ingress": {
            "namespace": "default", "name": "shop", "generation": 3, "revision": 1,
            "state": "Partial", "hash": null, "outcome": "Partial",
            "rejections": page["ingress"]["rejections"],
        },
        "rules": [rule("external"), rule("internal")],
        "clusters": {
            "default/shop-1/80": { "protocol": "http1", "addresses": ["10.0.0.7:8012"] },
        },
        "certificates": page["certificates"],
    });
    assert_eq!(page, expected);
    assert_eq!(page["ingress"]["rejections"][0]["reason"], "ServiceMissing");
    assert_eq!(
        page["certificates"][0],
        json!({ "side": "external", "host": "shop.example.com", "secret": "default/shop-tls" })
    );
}

#[tokio::test]
async fn ingresses_come_with_what_became_of_them() {
    let lab = Lab::start().await;
    let page = lab.get("/status/v1/ingresses").await;
    let ingresses = page["ingresses"].as_array().unwrap();
    let states: Vec<(&str, &str)> = ingresses
        .iter()
        .map(|ingress| {
            (
                ingress["name"].as_str().unwrap(),
                ingress["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(states, [("bad", "Refused"), ("shop", "Partial")]);
    assert_eq!(ingresses[0]["outcome"], "Refused");
    assert_eq!(ingresses[0]["rejections"][0]["reason"], "PercentSum");
    assert_eq!(ingresses[0].get("hash"), None, "nothing was ever served");
    assert_eq!(
        lab.get("/status/v1/ingresses?namespace=other").await,
        json!({ "ingresses": [] })
    );
    let operator = lab.get("/status/v1/operator").await;
    let expected = json!({
        "name": "operator-0_1", "version": env!("CARGO_PKG_VERSION"), "leads": false,
        "revision": 1, "missing": [], "complaints": [],
    });
    assert_eq!(operator, expected);
    assert_eq!(
        lab.get("/status/v1/refusals").await,
        json!({ "refusals": [] })
    );
    assert_eq!(
        lab.get("/status/v1/gateways").await,
        json!({ "revision": 1, "gateways": [] })
    );
}

#[tokio::test]
async fn no_page_shows_a_key_and_none_is_made_unasked() {
    let lab = Lab::start().await;
    assert_eq!(lab.cluster.asked("reviews"), 0, "nobody asked");
    let body = lab.key.lines().nth(1).unwrap();
    for target in [
        "/status/v1/operator",
        "/status/v1/gateways",
        "/status/v1/refusals",
        "/status/v1/ingresses",
        "/status/v1/plan?ingress=default/shop",
    ] {
        let page = lab.get(target).await.to_string();
        for secret in [body, "PRIVATE KEY", "probe-key-of-the-test", READER] {
            assert!(!page.contains(secret), "{target} shows {secret}");
        }
    }
    assert_eq!(lab.cluster.asked("tokenreviews"), 5);
    assert_eq!(lab.cluster.asked("subjectaccessreviews"), 5);
}

/// A page as those who ask read it, written again.
fn read<T: serde::de::DeserializeOwned + Serialize>(page: &Value) -> Value {
    let read: T = serde_json::from_value(page.clone()).unwrap();
    serde_json::to_value(read).unwrap()
}

#[tokio::test]
async fn who_asks_reads_all_of_every_page() {
    let lab = Lab::start().await;
    let page = lab.get("/status/v1/operator").await;
    assert_eq!(read::<sluice_ask::page::Operator>(&page), page);
    let page = lab.get("/status/v1/ingresses").await;
    assert_eq!(read::<sluice_ask::page::Ingresses>(&page), page);
    let page = lab.get("/status/v1/plan?ingress=default/shop").await;
    assert_eq!(read::<sluice_ask::page::Plan>(&page), page);
}

#[test]
fn a_gateway_is_synced_stale_nacked_or_not_there() {
    let acked = Instant::now();
    let traffic = |due: usize| Traffic {
        held: 3,
        due,
        acks: 7,
        nacks: 1,
        last_ack: Some(acked),
        ..Traffic::default()
    };
    let node = |id: &str, due: usize| Node {
        id: id.into(),
        envoy: Some("1.40.0".to_owned()),
        acked: Some(Revision(8)),
        serving: true,
        kinds: [(Kind::Cluster, traffic(0)), (Kind::Scope, traffic(due))].into(),
    };
    let fleet = Fleet {
        nodes: [
            (StreamId(1), node("ns/nacked", 0)),
            (StreamId(2), node("ns/stale", 0)),
            (StreamId(3), node("ns/stale", 2)),
            (StreamId(4), node("ns/synced", 0)),
        ]
        .into(),
        quarantined: vec![Quarantined {
            kind: Kind::Scope,
            name: "ext/shop.example.com".into(),
            version: "ab".into(),
            node: "ns/nacked".into(),
            detail: "no".into(),
        }],
    };
    let view = QuorumView {
        address: Some([10, 0, 0, 1].into()),
        ready: true,
        terminating: false,
        required: true,
    };
    let quorum = [
        ("ns/gone".to_owned(), view.clone()),
        ("ns/synced".to_owned(), view),
    ];
    let at = Timestamp::UNIX_EPOCH;
    let page = page::Gateways::of(Revision(9), &quorum.into(), &fleet, |_| Some(at));
    let page = serde_json::to_value(page).unwrap();
    assert_eq!(read::<sluice_ask::page::Gateways>(&page), page);
    let refusals = serde_json::to_value(page::Refusals::of(&fleet)).unwrap();
    assert_eq!(read::<sluice_ask::page::Refusals>(&refusals), refusals);
    let states: Vec<(&str, &str)> = page["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gateway| {
            (
                gateway["name"].as_str().unwrap(),
                gateway["state"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("ns/gone", "Disconnected"),
        ("ns/nacked", "Nack"),
        ("ns/stale", "Stale"),
        ("ns/synced", "Synced"),
    ];
    assert_eq!(states, expected);
    let of_type = json!({
        "state": "Synced", "held": 3, "due": 0, "refused": 0, "acks": 7, "nacks": 1,
        "lastAck": "1970-01-01T00:00:00Z",
    });
    assert_eq!(
        page["gateways"][3],
        json!({
            "name": "ns/synced", "address": "10.0.0.1", "envoy": "1.40.0", "state": "Synced", "ready": true,
            "terminating": false, "required": true, "serving": true, "ackedRevision": 8,
            "types": { "CDS": of_type, "SRDS": of_type },
        })
    );
}
