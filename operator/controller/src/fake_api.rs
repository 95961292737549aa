//! An API server in memory: objects with resource versions, optimistic locking,
//! list and watch, and faults on demand. Needs no socket, so that tests may
//! stop the clock.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

const COLLECTIONS: [&str; 3] = ["leases", "secrets", "configmaps"];

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn writes(&self) -> bool {
        self.method != Method::GET
    }
}

/// What a client's way to the server does to a request.
pub(crate) enum Way {
    Open,
    /// Answered by the test.
    Answer(StatusCode, Value),
    /// Never arrives.
    Cut,
    /// Arrives and is done, the answer does not come back.
    Deaf,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// Watch events by version, with the path of their object.
    events: Vec<(u64, String, Value)>,
    version: u64,
    asked: Vec<Asked>,
}

pub(crate) struct FakeApi {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

impl FakeApi {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            version: watch::Sender::new(0),
        })
    }

    pub(crate) fn client(self: &Arc<Self>) -> Client {
        self.client_by(|_| Way::Open)
    }

    pub(crate) fn client_by(
        self: &Arc<Self>,
        way: impl Fn(&Asked) -> Way + Send + Sync + 'static,
    ) -> Client {
        let server = Arc::clone(self);
        let way = Arc::new(way);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            let way = Arc::clone(&way);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let asked = Asked {
                    method: parts.method,
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                };
                let decision = way(&asked);
                match decision {
                    Way::Open => {}
                    Way::Answer(status, value) => {
                        server.lock().asked.push(asked);
                        return Ok::<_, Infallible>(answer(status, &value));
                    }
                    Way::Cut => std::future::pending().await,
                    Way::Deaf => {
                        drop(server.handle(&asked));
                        std::future::pending::<()>().await;
                    }
                }
                // Others run between the sending of a request and its arrival.
                tokio::task::yield_now().await;
                Ok(server.handle(&asked))
            }
        });
        Client::new(service, "default")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    pub(crate) fn writes(&self) -> usize {
        self.asked().iter().filter(|asked| asked.writes()).count()
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(path).cloned()
    }

    /// Stores as if by another client.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.store(&mut self.lock(), path, object);
    }

    pub(crate) fn delete(&self, path: &str) {
        let mut state = self.lock();
        let Some(object) = state.objects.remove(path) else {
            return;
        };
        self.note(&mut state, "DELETED", path, object);
    }

    fn store(&self, state: &mut State, path: &str, object: Value) -> Value {
        let kind = match state.objects.contains_key(path) {
            true => "MODIFIED",
            false => "ADDED",
        };
        let stored = self.note(state, kind, path, object);
        state.objects.insert(path.to_owned(), stored.clone());
        stored
    }

    fn note(&self, state: &mut State, kind: &str, path: &str, mut object: Value) -> Value {
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let event = json!({ "type": kind, "object": object });
        let version = state.version;
        state.events.push((version, path.to_owned(), event));
        self.version.send_replace(version);
        object
    }

    fn handle(self: &Arc<Self>, asked: &Asked) -> Answer {
        let mut state = self.lock();
        state.asked.push(asked.clone());
        let last = asked.path.rsplit('/').next().unwrap();
        let in_collection = COLLECTIONS.contains(&last);
        match asked.method {
            Method::GET if in_collection && asked.query.contains("watch=true") => {
                drop(state);
                self.watch(asked)
            }
            Method::GET if in_collection => {
                let prefix = format!("{}/", asked.path);
                let items: Vec<&Value> = state
                    .objects
                    .iter()
                    .filter(|(path, _)| path.starts_with(&prefix))
                    .filter(|(path, _)| selects(&asked.query, path))
                    .map(|(_, object)| object)
                    .collect();
                let metadata = json!({ "resourceVersion": state.version.to_string() });
                answer(
                    StatusCode::OK,
                    &json!({ "metadata": metadata, "items": items }),
                )
            }
            Method::GET => match state.objects.get(&asked.path) {
                Some(object) => answer(StatusCode::OK, object),
                None => failure(StatusCode::NOT_FOUND, "NotFound"),
            },
            Method::POST => {
                let name = asked.body["metadata"]["name"].as_str().unwrap();
                let path = format!("{}/{name}", asked.path);
                if state.objects.contains_key(&path) {
                    return failure(StatusCode::CONFLICT, "AlreadyExists");
                }
                let stored = self.store(&mut state, &path, asked.body.clone());
                answer(StatusCode::CREATED, &stored)
            }
            Method::PUT => {
                let Some(found) = state.objects.get(&asked.path) else {
                    return failure(StatusCode::NOT_FOUND, "NotFound");
                };
                let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
                if version(found) != version(&asked.body) {
                    return failure(StatusCode::CONFLICT, "Conflict");
                }
                let stored = self.store(&mut state, &asked.path, asked.body.clone());
                answer(StatusCode::OK, &stored)
            }
            Method::PATCH => {
                let stored = self.store(&mut state, &asked.path, asked.body.clone());
                answer(StatusCode::OK, &stored)
            }
            _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn watch(self: &Arc<Self>, asked: &Asked) -> Answer {
        let since = asked
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("resourceVersion="))
            .and_then(|version| version.parse().ok())
            .unwrap_or(0);
        let server = Arc::clone(self);
        let prefix = format!("{}/", asked.path);
        let query = asked.query.clone();
        let start = (since, self.version.subscribe());
        let lines = stream::unfold(start, move |(since, mut version)| {
            let server = Arc::clone(&server);
            let (prefix, query) = (prefix.clone(), query.clone());
            async move {
                version.wait_for(|version| *version > since).await.ok()?;
                let state = server.lock();
                let news = state.events.iter().filter(|event| event.0 > since);
                let lines: Vec<String> = news
                    .filter(|event| event.1.starts_with(&prefix) && selects(&query, &event.1))
                    .map(|event| format!("{}\n", event.2))
                    .collect();
                Some((lines.concat(), (state.version, version.clone())))
            }
        });
        let frames = lines.map(|line| Ok(Frame::data(Bytes::from(line))));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }
}

fn selects(query: &str, path: &str) -> bool {
    match query.split("metadata.name%3D").nth(1) {
        Some(rest) => rest.split('&').next() == path.rsplit('/').next(),
        None => true,
    }
}

fn answer(status: StatusCode, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

pub(crate) fn failure_body(status: StatusCode, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("the test says {reason}"), "reason": reason, "code": status.as_u16(),
    })
}

fn failure(status: StatusCode, reason: &str) -> Answer {
    answer(status, &failure_body(status, reason))
}
