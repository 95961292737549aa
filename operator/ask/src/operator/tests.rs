use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "token-that-nobody-sees";

type Answer = Response<Full<Bytes>>;

fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer
}

fn refusal(code: StatusCode, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code.as_u16(), "reason": "Forbidden", "message": message,
    });
    answer(code, &status)
}

fn pod(name: &str, app: &str, ready: bool) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": app, "app.kubernetes.io/version": "1.2.3" } },
        "spec": { "containers": [{
            "name": if app == "sluice-gateway" { "envoy" } else { "operator" },
            "image": "r:5000/envoy:distroless-v1.40.0",
        }] },
        "status": { "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }] },
    })
}

/// An API server that knows pods and a lease, and refuses what has this in its path.
fn cluster(pods: Value, refused: &'static str, asked: &Arc<Mutex<Vec<String>>>) -> Client {
    let asked = Arc::clone(asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        asked.lock().unwrap().push(format!("{method} {path}"));
        let said = match path.rsplit('/').next().unwrap_or_default() {
            last if last == refused => refusal(StatusCode::FORBIDDEN, "jane may not"),
            "pods" => answer(StatusCode::OK, &json!({ "metadata": {}, "items": pods })),
            "sluice-operator" => {
                let spec = json!({ "holderIdentity": "op-b_7" });
                answer(StatusCode::OK, &json!({ "metadata": {}, "spec": spec }))
            }
            "token" => {
                assert_eq!(method, Method::POST);
                let status =
                    json!({ "token": SECRET, "expirationTimestamp": "2026-01-01T00:00:00Z" });
                let spec = json!({ "audiences": ["sluice-status"] });
                let made = json!({ "metadata": {}, "spec": spec, "status": status });
                answer(StatusCode::CREATED, &made)
            }
            _ => refusal(StatusCode::BAD_GATEWAY, "no stream here"),
        };
        async move { Ok::<_, Infallible>(said) }
    });
    Client::new(service, "default")
}

async fn opened(pods: Value, refused: &'static str) -> (AskError, Vec<String>) {
    let asked = Arc::default();
    let client = cluster(pods, refused, &asked);
    let error = Pages::open(client, "ns").await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains(SECRET), "{told}");
    let asked = asked.lock().unwrap().clone();
    (error, asked)
}

#[tokio::test]
async fn who_leads_is_asked_and_by_a_token_for_this_alone() {
    let pods = json!([
        pod("op-a", "sluice-operator", true),
        pod("op-b", "sluice-operator", true)
    ]);
    let (_, asked) = opened(pods, "nothing").await;
    let expected = [
        "GET /api/v1/namespaces/ns/pods",
        "GET /apis/coordination.k8s.io/v1/namespaces/ns/leases/sluice-operator",
        "POST /api/v1/namespaces/ns/serviceaccounts/sluice-status/token",
        "GET /api/v1/namespaces/ns/pods/op-b/portforward",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn while_none_leads_any_that_is_ready_is_asked() {
    let pods = json!([
        pod("gw", "sluice-gateway", true),
        pod("op-b", "sluice-operator", false),
        pod("op-c", "sluice-operator", true),
    ]);
    let (_, asked) = opened(pods, "nothing").await;
    assert_eq!(
        asked.last().map(String::as_str),
        Some("GET /api/v1/namespaces/ns/pods/op-c/portforward")
    );
}

#[tokio::test]
async fn without_an_operator_it_says_what_there_is() {
    let (error, _) = opened(json!([pod("gw", "sluice-gateway", true)]), "nothing").await;
    assert!(
        error
            .to_string()
            .starts_with("no operator is in namespace ns: "),
        "{error}"
    );
    let (error, _) = opened(json!([pod("op-b", "sluice-operator", false)]), "nothing").await;
    assert!(
        error.to_string().contains("is ready (found op-b)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_the_role_that_has_it() {
    for (refused, doing) in [
        ("pods", "list pods in namespace ns"),
        (
            "sluice-operator",
            "get the lease sluice-operator in namespace ns",
        ),
        (
            "token",
            "create serviceaccounts/token of sluice-status in namespace ns",
        ),
        (
            "portforward",
            "create pods/portforward of op-b in namespace ns",
        ),
    ] {
        let (error, _) = opened(json!([pod("op-b", "sluice-operator", true)]), refused).await;
        let told = error.to_string();
        assert!(
            told.starts_with(&format!("no right to {doing} (")),
            "{told}"
        );
        assert!(
            told.contains("create rolebinding sluice-status --role=sluice-status"),
            "{told}"
        );
        assert!(!error.is_unreachable());
    }
}

/// Pages from a server in memory that answers with these.
async fn pages(status: StatusCode, body: &'static str) -> Pages {
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(async move {
        let service = service_fn(move |request: Request<Incoming>| async move {
            let sent = &request.headers()[header::AUTHORIZATION];
            assert_eq!(sent, &format!("Bearer {SECRET}"));
            let mut answer = Response::new(Full::new(Bytes::from(body)));
            *answer.status_mut() = status;
            Ok::<_, Infallible>(answer)
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service)
            .await;
    });
    let token = Token(SECRET.to_owned());
    Pages::over(near, "op-b".to_owned(), token, None)
        .await
        .unwrap()
}

#[tokio::test]
async fn many_pages_come_over_one_connection() {
    let mut pages = pages(StatusCode::OK, r#"{"revision":3,"gateways":[],"newer":1}"#).await;
    for _ in 0..2 {
        assert_eq!(pages.gateways().await.unwrap().revision, 3);
    }
    assert!(!format!("{pages:?}").contains(SECRET));
    let error = pages.operator().await.unwrap_err().to_string();
    assert!(
        error.contains("is no page that this build reads: missing field"),
        "{error}"
    );
}

#[tokio::test]
async fn the_operators_own_words_are_told() {
    let mut pages = pages(
        StatusCode::FORBIDDEN,
        "{\"error\":\"bind the ClusterRole\"}\n",
    )
    .await;
    let error = pages.refusals().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "/status/v1/refusals of pod op-b: 403 Forbidden: bind the ClusterRole"
    );
}

#[test]
fn a_gateway_tells_what_runs_in_it() {
    let pods = [
        pod("gw", "sluice-gateway", true),
        pod("op", "sluice-operator", true),
    ];
    let pods: Vec<Pod> = pods.map(|pod| serde_json::from_value(pod).unwrap()).into();
    let build = Build {
        version: Some("1.2.3".to_owned()),
        envoy: Some("1.40.0".to_owned()),
    };
    assert_eq!(builds(&pods), BTreeMap::from([("gw".to_owned(), build)]));
}

#[test]
fn the_version_of_an_image_is_in_its_tag() {
    for (image, version) in [
        ("envoyproxy/envoy:distroless-v1.40.0", Some("1.40.0")),
        ("r:5000/envoy:v1.41.2-amd64@sha256:00", Some("1.41.2")),
        ("r:5000/envoy:1.40.1", Some("1.40.1")),
        ("r:5000/envoy", None),
        ("envoy:latest", None),
        ("envoy@sha256:00", None),
    ] {
        assert_eq!(version_of_image(image).as_deref(), version, "{image}");
    }
}
