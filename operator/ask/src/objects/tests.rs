use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::check::{Report, Severity, facts};
use crate::explain::{Subject, SubjectKind};
use crate::gather::gather;

type Asked = Arc<Mutex<Vec<String>>>;

/// An API server that has these by path, and refuses where it has `false`.
fn cluster(objects: BTreeMap<&'static str, Value>) -> (Objects, Asked) {
    let (client, asked) = client(objects);
    (Objects::new(client), asked)
}

fn client(objects: BTreeMap<&'static str, Value>) -> (Client, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().path_and_query().unwrap().to_string();
        seen.lock().unwrap().push(path.clone());
        let (code, reason) = match objects.get(path.as_str()) {
            None => (StatusCode::NOT_FOUND, "NotFound"),
            Some(Value::Bool(_)) => (StatusCode::FORBIDDEN, "Forbidden"),
            Some(_) => (StatusCode::OK, ""),
        };
        let said = match objects.get(path.as_str()) {
            Some(object) if code == StatusCode::OK => object.clone(),
            _ => json!({
                "kind": "Status", "status": "Failure", "code": code.as_u16(),
                "reason": reason, "message": format!("{reason}: {path}"),
            }),
        };
        let mut answer = Response::new(Full::new(Bytes::from(said.to_string())));
        *answer.status_mut() = code;
        async move { Ok::<_, Infallible>(answer) }
    });
    (Client::new(service, "default"), asked)
}

const SERVING: &str = "/apis/serving.knative.dev/v1/namespaces/ns";
const INGRESS: &str = "/apis/networking.internal.knative.dev/v1alpha1/namespaces/ns/ingresses/shop";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices?&labelSelector=kubernetes.io%2Fservice-name+in+%28shop-1%29";

fn shop() -> BTreeMap<&'static str, Value> {
    let object = |body: Value| {
        let mut object = json!({
            "apiVersion": "v1", "kind": "K",
            "metadata": { "name": "shop", "namespace": "ns", "labels": {
                "serving.knative.dev/service": "shop", "serving.knative.dev/route": "shop",
            } },
        });
        for (key, value) in body.as_object().unwrap() {
            object[key] = value.clone();
        }
        object
    };
    let split = json!({ "serviceName": "shop-1", "percent": 100 });
    let rules = json!([{ "http": { "paths": [{ "splits": [split] }] } }]);
    let traffic = json!([{ "revisionName": "shop-1", "percent": 100 }]);
    BTreeMap::from([
        (
            "/apis/serving.knative.dev/v1/namespaces/ns/services/shop",
            object(json!({})),
        ),
        (
            "/apis/serving.knative.dev/v1/namespaces/ns/configurations/shop",
            object(json!({ "status": { "latestCreatedRevisionName": "shop-2" } })),
        ),
        (
            "/apis/serving.knative.dev/v1/namespaces/ns/routes/shop",
            object(json!({ "status": { "traffic": traffic } })),
        ),
        (
            "/apis/serving.knative.dev/v1/namespaces/ns/revisions/shop-1",
            object(json!({})),
        ),
        (INGRESS, object(json!({ "spec": { "rules": rules } }))),
        (
            SLICES,
            json!({ "metadata": {}, "items": [object(json!({}))] }),
        ),
    ])
}

fn subject(kind: SubjectKind) -> Subject {
    Subject {
        kind,
        namespace: "ns".to_owned(),
        name: "shop".to_owned(),
    }
}

fn no_operator() -> AskError {
    AskError::NoOperator {
        namespace: "sluice-system".to_owned(),
    }
}

#[tokio::test]
async fn a_service_is_followed_to_its_endpoints() {
    let (objects, asked) = cluster(shop());
    let subject = subject(SubjectKind::Ksvc);
    let gathered = gather(&objects, Err(no_operator()), subject, "sluice-system")
        .await
        .unwrap();
    let all = asked.lock().unwrap().clone();
    let expected = [
        format!("{SERVING}/services/shop"),
        format!("{SERVING}/configurations/shop"),
        format!("{SERVING}/routes/shop"),
        INGRESS.to_owned(),
        format!("{SERVING}/revisions/shop-1"),
        format!("{SERVING}/revisions/shop-2"),
        SLICES.to_owned(),
    ];
    assert_eq!(all, expected);
    assert_eq!((gathered.revisions.len(), gathered.slices.len()), (1, 1));
    assert!(
        gathered
            .unanswered
            .unwrap()
            .starts_with("no operator is in namespace")
    );
}

#[tokio::test]
async fn an_ingress_is_followed_back_to_its_service() {
    let (objects, _) = cluster(shop());
    let subject = subject(SubjectKind::Ingress);
    let gathered = gather(&objects, Err(no_operator()), subject, "sluice-system")
        .await
        .unwrap();
    assert_eq!(
        gathered.ksvc.map(|ksvc| ksvc.key()).as_deref(),
        Some("ns/shop")
    );
    assert!(gathered.route.is_some() && gathered.ingress.is_some());
}

#[tokio::test]
async fn what_may_not_be_read_is_named_with_its_verb() {
    let mut objects = shop();
    objects.insert(SLICES, json!(false));
    let (objects, _) = cluster(objects);
    let subject = subject(SubjectKind::Ksvc);
    let error = gather(&objects, Err(no_operator()), subject, "sluice-system")
        .await
        .unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("no right to list endpointslices.discovery.k8s.io in namespace ns ("),
        "{told}"
    );
    assert!(
        told.contains("has the verb list on endpointslices.discovery.k8s.io"),
        "{told}"
    );
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews?";

fn allowed(allowed: bool) -> Value {
    json!({ "metadata": {}, "spec": {}, "status": { "allowed": allowed } })
}

#[tokio::test]
async fn of_a_secret_only_the_end_of_its_certificate_is_known() {
    let mut params = rcgen::CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let secret = |chain: &str| {
        let data = BASE64.encode(chain);
        json!({ "metadata": {}, "type": "kubernetes.io/tls", "data": { "tls.crt": data } })
    };
    let (objects, _) = cluster(BTreeMap::from([
        ("/api/v1/namespaces/ns/secrets/good", secret(&chain)),
        (
            "/api/v1/namespaces/ns/secrets/bad",
            secret("no certificate"),
        ),
        ("/api/v1/namespaces/ns/secrets/hidden", json!(false)),
    ]));
    let first_of_2030 = 1_893_456_000;
    assert_eq!(
        objects.not_after("ns", "good").await.unwrap(),
        Some(first_of_2030)
    );
    assert_eq!(objects.not_after("ns", "bad").await.unwrap(), None);
    assert_eq!(objects.not_after("ns", "gone").await.unwrap(), None);
    let error = objects
        .not_after("ns", "hidden")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no right to get secrets hidden in namespace ns ("),
        "{error}"
    );
}

fn version() -> Value {
    let mut version = json!({ "gitVersion": "v1.36.3", "major": "1", "minor": "36" });
    for field in [
        "buildDate",
        "compiler",
        "gitCommit",
        "gitTreeState",
        "goVersion",
        "platform",
    ] {
        version[field] = json!("");
    }
    version
}

#[tokio::test]
async fn what_may_not_be_looked_at_is_told_and_the_rest_is_judged() {
    let list = json!({ "metadata": {}, "items": [] });
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "config-network" },
        "data": { "ingress-class": "sluice.ingress.networking.knative.dev" },
    });
    let (client, _) = client(BTreeMap::from([
        ("/version", version()),
        (REVIEWS, allowed(true)),
        (
            "/apis/networking.internal.knative.dev/v1alpha1/ingresses?",
            list.clone(),
        ),
        (
            "/apis/apps/v1/namespaces/knative-serving/deployments?",
            list,
        ),
        (
            "/api/v1/namespaces/knative-serving/configmaps/config-network",
            map,
        ),
        (
            "/api/v1/namespaces/knative-serving/configmaps/config-domain",
            json!(false),
        ),
    ]));
    let facts = facts(client, "https://here", "sluice-system", false, 0)
        .await
        .unwrap();
    assert!(facts.kinds && facts.network.is_some());
    assert!(facts.rights.iter().all(|right| right.allowed));
    let codes: Vec<&str> = facts.unread.keys().map(String::as_str).collect();
    let operator = ["SLC0501", "SLC0502", "SLC0503", "SLC0504", "SLC0505"];
    assert_eq!(codes, [&["SLC0403"], &operator[..], &["SLC0604"]].concat());
    let report = Report::of(&facts);
    let of = |code: &str| {
        let found = report.findings.iter().find(|one| one.code == code);
        found.map(|finding| finding.severity)
    };
    assert_eq!(of("SLC0102"), Some(Severity::Ok));
    assert_eq!(of("SLC0403"), Some(Severity::Skipped));
    assert_eq!(of("SLC0501"), Some(Severity::Problem));
    assert_eq!(of("SLC0301"), Some(Severity::Problem));
}

#[tokio::test]
async fn each_right_is_asked_for_by_itself_before_an_installation() {
    let (client, asked) = client(BTreeMap::from([
        ("/version", version()),
        (REVIEWS, allowed(false)),
    ]));
    let facts = facts(client, "https://here", "sluice-system", true, 0)
        .await
        .unwrap();
    let asked = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|path| *path == REVIEWS)
        .count();
    assert_eq!((asked, facts.rights.len()), (63, 63));
    assert!(!facts.kinds, "a kind that is not there is no error");
    assert!(!Report::of(&facts).is_well());
}
