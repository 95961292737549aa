//! An API server in memory that lists and watches across namespaces, merges
//! statuses under optimistic locking, forgets its history on demand and refuses
//! what a test wants refused. Needs no socket, so that tests may stop the clock.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

#[derive(Default)]
struct State {
    /// By plural, namespace, name.
    objects: BTreeMap<(String, String, String), Value>,
    events: Vec<(u64, String, Value)>,
    version: u64,
    /// Watches from before this version are too old.
    horizon: u64,
    /// Status codes by method and plural (or subresource).
    refused: BTreeMap<(String, String), u16>,
    asked: Vec<(Method, String, Value)>,
}

pub(crate) struct FakeCluster {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

impl FakeCluster {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            version: watch::Sender::new(0),
        })
    }

    pub(crate) fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                tokio::task::yield_now().await;
                let path = parts.uri.path().to_owned();
                let query = parts.uri.query().unwrap_or_default().to_owned();
                Ok::<_, Infallible>(server.answer(parts.method, &path, &query, body))
            }
        });
        Client::new(service, "default")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes of statuses and events, as `PATCH …/status` and `POST …/events`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let state = self.lock();
        let writes = state.asked.iter().filter(|asked| asked.0 != Method::GET);
        writes
            .map(|(method, path, _)| format!("{method} {path}"))
            .collect()
    }

    pub(crate) fn object(&self, plural: &str, name: &str) -> Value {
        let key = (plural.to_owned(), "ns".to_owned(), name.to_owned());
        self.lock().objects.get(&key).cloned().unwrap_or_default()
    }

    pub(crate) fn objects(&self, plural: &str) -> Vec<Value> {
        let state = self.lock();
        let found = state.objects.iter().filter(|(key, _)| key.0 == plural);
        found.map(|(_, object)| object.clone()).collect()
    }

    /// Stores an object as if by another client.
    pub(crate) fn put(&self, plural: &str, object: Value) {
        self.store(&mut self.lock(), plural, object);
    }

    pub(crate) fn delete(&self, plural: &str, name: &str) {
        let mut state = self.lock();
        let key = (plural.to_owned(), "ns".to_owned(), name.to_owned());
        if let Some(object) = state.objects.remove(&key) {
            self.note(&mut state, "DELETED", plural, object);
        }
    }

    /// Ends every watch and forgets what happened; then `change` happens unseen.
    pub(crate) fn gap(&self, change: impl FnOnce(&Self)) {
        change(self);
        let mut state = self.lock();
        state.version += 1;
        state.horizon = state.version;
        state.events.clear();
        let version = state.version;
        self.version.send_replace(version);
    }

    /// Has requests answered by a status code; `status` is a subresource.
    pub(crate) fn refuse(&self, method: &str, plural: &str, code: Option<u16>) {
        let key = (method.to_owned(), plural.to_owned());
        let mut state = self.lock();
        match code {
            Some(code) => state.refused.insert(key, code),
            None => state.refused.remove(&key),
        };
    }

    fn store(&self, state: &mut State, plural: &str, object: Value) -> Value {
        let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
        let key = (plural.to_owned(), text("namespace"), text("name"));
        let kind = if state.objects.contains_key(&key) {
            "MODIFIED"
        } else {
            "ADDED"
        };
        let stored = self.note(state, kind, plural, object);
        state.objects.insert(key, stored.clone());
        stored
    }

    fn note(&self, state: &mut State, kind: &str, plural: &str, mut object: Value) -> Value {
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let event = json!({ "type": kind, "object": object });
        state.events.push((version, plural.to_owned(), event));
        self.version.send_replace(version);
        object
    }

    fn answer(self: &Arc<Self>, method: Method, path: &str, query: &str, body: Value) -> Answer {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        // /api/v1/… or /apis/<group>/<version>/…
        let rest = &segments[if segments[0] == "api" { 2 } else { 3 }..];
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (plural, rest) = rest.split_first().unwrap();
        let mut state = self.lock();
        state
            .asked
            .push((method.clone(), path.to_owned(), body.clone()));
        let what = rest.get(1).unwrap_or(plural);
        let refused = state.refused.get(&(method.to_string(), (*what).to_owned()));
        if let Some(code) = refused {
            return failure(*code);
        }
        match (method, rest) {
            (Method::GET, []) if query.contains("watch=true") => {
                drop(state);
                self.watch(plural, namespace, query)
            }
            (Method::GET, []) => {
                let items: Vec<&Value> = state
                    .objects
                    .iter()
                    .filter(|(key, _)| key.0 == *plural)
                    .map(|(_, object)| object)
                    .filter(|object| selects(namespace, query, object))
                    .collect();
                let metadata = json!({ "resourceVersion": state.version.to_string() });
                answer(200, &json!({ "metadata": metadata, "items": items }))
            }
            (Method::POST, []) => {
                let name = body["metadata"]["name"].clone();
                let same = |object: &Value| object["metadata"]["name"] == name;
                if state
                    .objects
                    .iter()
                    .any(|(key, object)| key.0 == *plural && same(object))
                {
                    return failure(409);
                }
                answer(201, &self.store(&mut state, plural, body))
            }
            (Method::GET | Method::PATCH, [name, ..]) => {
                let namespace = namespace.unwrap_or_default().to_owned();
                let key = ((*plural).to_owned(), namespace, (*name).to_owned());
                let Some(mut object) = state.objects.get(&key).cloned() else {
                    return failure(404);
                };
                if rest.len() == 1 {
                    return answer(200, &object);
                }
                let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
                if version(&body) != version(&object) {
                    return failure(409);
                }
                // One level is all that a status of Sluice's needs of a merge.
                for (field, value) in body["status"].as_object().unwrap() {
                    object["status"][field] = value.clone();
                }
                answer(200, &self.store(&mut state, plural, object))
            }
            _ => failure(405),
        }
    }

    fn watch(self: &Arc<Self>, plural: &str, namespace: Option<&str>, query: &str) -> Answer {
        let since: u64 = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("resourceVersion="))
            .and_then(|version| version.parse().ok())
            .unwrap_or_default();
        let plural = plural.to_owned();
        let namespace = namespace.map(ToOwned::to_owned);
        let query = query.to_owned();
        let server = Arc::clone(self);
        let start = Some((since, self.version.subscribe()));
        let lines = stream::unfold(start, move |at| {
            let server = Arc::clone(&server);
            let (plural, namespace, query) = (plural.clone(), namespace.clone(), query.clone());
            async move {
                let (since, mut version) = at?;
                version.wait_for(|version| *version > since).await.ok()?;
                let state = server.lock();
                if since < state.horizon {
                    let gone = json!({ "type": "ERROR", "object": status(410) });
                    return Some((format!("{gone}\n"), None));
                }
                let news = state
                    .events
                    .iter()
                    .filter(|(version, kind, event)| {
                        *version > since
                            && *kind == plural
                            && selects(namespace.as_deref(), &query, &event["object"])
                    })
                    .map(|(_, _, event)| format!("{event}\n"));
                let lines: String = news.collect();
                Some((lines, Some((state.version, version.clone()))))
            }
        });
        let frames = lines.map(|line| Ok(Frame::data(Bytes::from(line))));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }
}

fn selects(namespace: Option<&str>, query: &str, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let after = |key: &str| {
        let rest = query.split(key).nth(1)?;
        rest.split('&').next()
    };
    namespace.is_none_or(|namespace| metadata["namespace"] == namespace)
        && after("metadata.name%3D").is_none_or(|name| metadata["name"] == name)
        && after("service-name%3D")
            .is_none_or(|name| metadata["labels"]["kubernetes.io/service-name"] == name)
        && after("fieldSelector=type%3D").is_none_or(|_| object["type"] == "kubernetes.io/tls")
}

fn answer(code: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    let code = StatusCode::from_u16(code).unwrap();
    Response::builder().status(code).body(body).unwrap()
}

fn status(code: u16) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("the test says {code}"), "reason": "Test", "code": code,
    })
}

fn failure(code: u16) -> Answer {
    answer(code, &status(code))
}
