//! The sample backend: answers with what it received, as slowly or as badly as asked.
//!
//! HTTP/1.1 and HTTP/2 with prior knowledge on one port, WebSocket echo, gRPC
//! ping. Requests steer it by their query ([`Control`]), so nothing but a URL is
//! needed to see a slow answer or a fault through a gateway.

mod answer;
mod control;
mod record;
mod upgrade;

pub use answer::NAME_HEADER;
pub use control::Control;
pub use record::{Echo, Received};

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::TrialError;
use record::Record;

/// Streams that one HTTP/2 connection may have open: what Go's `net/http` allows,
/// hence the activator and most applications. One more is refused, also before the
/// other side can have read so.
pub const HTTP2_STREAMS: u32 = 250;

/// A running backend; it and its connections end when this is dropped.
#[derive(Debug)]
pub struct Backend {
    name: Arc<str>,
    address: SocketAddr,
    record: Arc<Record>,
    accepting: JoinHandle<()>,
    // WebSockets outlive their HTTP connection; they end when this is dropped.
    _closing: watch::Sender<()>,
}

impl Backend {
    /// Starts one on a free loopback port.
    ///
    /// # Errors
    /// No port to be had.
    pub async fn start(name: &str) -> Result<Self, TrialError> {
        Self::listen(name, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts one on this address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub async fn listen(name: &str, address: SocketAddr) -> Result<Self, TrialError> {
        let action = || format!("listen on {address} for backend {name}");
        let listener = TcpListener::bind(address)
            .await
            .map_err(TrialError::io(action()))?;
        Self::accept_from(name, listener)
    }

    /// Starts one that accepts from a listener, at which connections may be waiting.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn accept_from(name: &str, listener: TcpListener) -> Result<Self, TrialError> {
        let address = listener.local_addr();
        let address = address.map_err(TrialError::io(format!("start backend {name}")))?;
        let name: Arc<str> = name.into();
        let record = Arc::new(Record::default());
        let (closing, closed) = watch::channel(());
        let desk = Desk {
            name: Arc::clone(&name),
            record: Arc::clone(&record),
            closed,
        };
        let accepting = tokio::spawn(accept(listener, Arc::new(desk)));
        Ok(Self {
            name,
            address,
            record,
            accepting,
            _closing: closing,
        })
    }

    /// What its answers call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that arrived, probes not counted.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.record.hits()
    }

    /// Requests with `K-Network-Probe: probe` that arrived.
    #[must_use]
    pub fn probes(&self) -> u64 {
        self.record.probes()
    }

    /// Connections that were accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.record.connections()
    }

    /// The latest requests, oldest first, at most [`record::KEPT`] of them.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.record.received()
    }

    /// Waits till this backend's task ends, which it does only with its runtime.
    pub async fn serve_forever(mut self) {
        // A join error is a runtime that shuts down: the end either way.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What every connection of a backend needs to answer.
struct Desk {
    name: Arc<str>,
    record: Arc<Record>,
    closed: watch::Receiver<()>,
}

/// Accepts until aborted; its connections end with it, since they live in its set.
async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // An accept error concerns one connection that is already gone.
        let Ok((stream, _)) = stream else { continue };
        desk.record.count_connection();
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            let service = service_fn(move |request| answer::answer(Arc::clone(&desk), request));
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().max_concurrent_streams(HTTP2_STREAMS);
            // A reset that a request asked for ends its connection with an error.
            let _ = server
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[cfg(test)]
mod tests;
