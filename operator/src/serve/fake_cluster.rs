//! An API server in memory: lists what it was given, watches in silence, reviews
//! tokens and rights, and lets every write pass.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use sluice_controller::probe::{Target, Unconfirmed};
use sluice_controller::{Confirm, Gateways, Health, Inspector, Options, Wires};
use tokio::sync::watch;
use tokio::task::JoinSet;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The user who may read the status, and one who may not; tokens are their names.
pub(super) const READER: &str = "reader-of-the-status";
pub(super) const STRANGER: &str = "stranger-with-a-token";

pub(super) struct FakeCluster {
    /// By plural.
    objects: BTreeMap<&'static str, Vec<Value>>,
    /// The plural whose lists do not come yet.
    withheld: watch::Sender<Option<&'static str>>,
    /// Method and path of each request.
    asked: Mutex<Vec<String>>,
}

impl FakeCluster {
    pub(super) fn of(objects: BTreeMap<&'static str, Vec<Value>>) -> Arc<Self> {
        Arc::new(Self {
            objects,
            withheld: watch::Sender::new(None),
            asked: Mutex::default(),
        })
    }

    /// Keeps back the lists of one plural, or of none.
    pub(super) fn withhold(&self, plural: Option<&'static str>) {
        self.withheld.send_replace(plural);
    }

    /// How many requests had this in their path.
    pub(super) fn asked(&self, part: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.contains(part)).count()
    }

    pub(super) fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let path = parts.uri.path().to_owned();
                let query = parts.uri.query().unwrap_or_default().to_owned();
                let line = format!("{} {path}", parts.method);
                server.asked.lock().unwrap().push(line);
                let answer = server.answer(&parts.method, &path, &query, body).await;
                Ok::<_, Infallible>(answer)
            }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, method: &Method, path: &str, query: &str, mut body: Value) -> Answer {
        let plural = path.rsplit('/').next().unwrap_or_default();
        match (method, plural) {
            (&Method::POST, "tokenreviews") => {
                let token = body["spec"]["token"].as_str().unwrap_or_default();
                body["status"] = json!({
                    "authenticated": token == READER || token == STRANGER,
                    "audiences": ["sluice-status"],
                    "user": { "username": token },
                });
                whole(StatusCode::CREATED, &body)
            }
            (&Method::POST, "subjectaccessreviews") => {
                body["status"] = json!({ "allowed": body["spec"]["user"] == READER });
                whole(StatusCode::CREATED, &body)
            }
            (&Method::GET, _) if query.contains("watch=true") => {
                let silence = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
                Response::new(StreamBody::new(silence).boxed_unsync())
            }
            (&Method::GET, _) => {
                let mut withheld = self.withheld.subscribe();
                // The sender lives as long as `self`.
                let _ = withheld.wait_for(|kept| *kept != Some(plural)).await;
                let none = Vec::new();
                let objects = self.objects.get(plural).unwrap_or(&none);
                let items: Vec<&Value> = objects
                    .iter()
                    .filter(|object| selects(query, object))
                    .collect();
                let metadata = json!({ "resourceVersion": "1" });
                whole(
                    StatusCode::OK,
                    &json!({ "metadata": metadata, "items": items }),
                )
            }
            _ => Response::new(Empty::new().boxed_unsync()),
        }
    }
}

/// Finds everything served.
struct Agreeing;

impl Confirm for Agreeing {
    async fn confirm(&self, _: Vec<Target>) -> Result<(), Unconfirmed> {
        Ok(())
    }
}

/// A controller of this cluster, and who asks it.
pub(super) fn control(
    cluster: &Arc<FakeCluster>,
    gateways: Arc<dyn Gateways>,
    health: &Arc<Health>,
) -> (JoinSet<()>, Inspector) {
    let (inspector, questions) = sluice_controller::inspector();
    let wires = Wires {
        gateways,
        leader: watch::channel(true).1,
        prober: Agreeing,
        health: Arc::clone(health),
        questions,
    };
    let options = Options {
        cluster_suffix: "cluster.local".into(),
        ..Options::new("sluice-system", "operator-0")
    };
    let controller =
        sluice_controller::run(cluster.client(), options, wires, std::future::pending());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { controller.await.unwrap() });
    (tasks, inspector)
}

/// Waits until a check holds, for half a minute at most.
pub(super) async fn until(what: &str, check: impl AsyncFn() -> bool) {
    let bound = Instant::now() + Duration::from_secs(30);
    while !check().await {
        assert!(Instant::now() < bound, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One ConfigMap is asked for by name, the gateways' slices by their Service.
fn selects(query: &str, object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let service = &object["metadata"]["labels"]["kubernetes.io/service-name"];
    let named = query.split("metadata.name%3D").nth(1);
    let labelled = query.split("service-name%3D").nth(1);
    named.is_none_or(|rest| rest.split('&').next() == Some(name))
        && labelled.is_none_or(|rest| rest.split('&').next() == service.as_str())
}

fn whole(status: StatusCode, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}
