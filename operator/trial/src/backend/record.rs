//! What reached a backend.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Request};
use serde::{Deserialize, Serialize};

/// How many requests a backend remembers in full.
pub const KEPT: usize = 1024;

/// One request as it arrived, body aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// `GET` and so on.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// The authority: `Host`, or `:authority` in HTTP/2.
    pub host: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Header names in lower case and values, in order of arrival, repeated
    /// ones repeated, without `host`.
    pub headers: Vec<(String, String)>,
}

impl Received {
    /// Reads the head of a request.
    pub fn of<B>(request: &Request<B>) -> Self {
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.to_string())
            .or_else(|| text(request.headers(), "host"))
            .unwrap_or_default();
        let path = request.uri().path_and_query().map(ToString::to_string);
        let headers = request
            .headers()
            .iter()
            .filter(|(name, _)| *name != http::header::HOST)
            .map(|(name, value)| (name.to_string(), lossy(value)))
            .collect();
        Self {
            method: request.method().to_string(),
            path: path.unwrap_or_default(),
            host,
            version: format!("{:?}", request.version()),
            headers,
        }
    }

    /// Every value of a header, in order of arrival; `name` in lower case.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// The body of an answer: who answered, and what it had been sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Name of the backend.
    pub name: String,
    /// The request's head.
    #[serde(flatten)]
    pub received: Received,
    /// Length of the request's body in bytes.
    pub body_bytes: u64,
}

/// Counters and memory of one backend.
#[derive(Debug, Default)]
pub(super) struct Record {
    hits: AtomicU64,
    probes: AtomicU64,
    connections: AtomicU64,
    received: Mutex<VecDeque<Received>>,
}

impl Record {
    pub(super) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_probe(&self) {
        self.probes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self, received: Received) {
        self.hits.fetch_add(1, Ordering::SeqCst);
        let mut kept = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(received);
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    pub(super) fn probes(&self) -> u64 {
        self.probes.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        let kept = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

/// The first value of a header as text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(lossy)
}

fn lossy(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
