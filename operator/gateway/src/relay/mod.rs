//! Between Envoy and the operator: one stream of Envoy's, passed on message by
//! message to a replica of the operator, and remembered on the way.
//!
//! Envoy speaks plain gRPC on a socket that only this pod has; the operator is
//! reached by mutual TLS, at the replica that leads where there is one. What Envoy
//! acknowledged is known here and kept in files, so that an Envoy that starts while
//! no operator is there serves what the last one served.

mod fallback;
mod last_known;
mod session;
mod snoop;
mod upstream;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_xds::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use sluice_xds::{DeltaHandler, Opened, serve_delta};
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Streaming};

use self::last_known::LastKnown;
use self::session::Session;

pub(crate) use last_known::Files;
pub(crate) use upstream::{Choice, Seeker, replicas};

use crate::error::GatewayError;

/// Responses between a stream and Envoy's socket.
const IN_TRANSIT: usize = 8;
/// Bytes of one request: Envoy lists all it holds when it connects again.
const REQUEST_BYTES: usize = 64 << 20;
/// Changes that come within this time are written together.
const WRITE_AFTER: Duration = Duration::from_millis(500);
/// For one part of time that is written, so many are not.
const REST: u32 = 49;
/// How long to wait after files could not be written.
const WRITE_AGAIN: Duration = Duration::from_secs(10);

/// What all streams of one gateway share.
#[derive(Clone)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
    choice: watch::Receiver<Choice>,
}

struct Shared {
    node: Node,
    known: Mutex<LastKnown>,
    /// Told when `known` differs from the files.
    changed: Notify,
    /// Told when a stream to the chosen replica broke.
    lost: Arc<Notify>,
    files: Files,
    stopping: watch::Sender<bool>,
}

impl Relay {
    /// A relay for the gateway of this name that begins with what the files hold.
    pub(crate) fn new(
        node: Node,
        files: Files,
        choice: watch::Receiver<Choice>,
        lost: Arc<Notify>,
    ) -> Result<Self, GatewayError> {
        let known = files.read()?;
        tracing::info!(?known, "read the last known configuration");
        Ok(Self {
            shared: Arc::new(Shared {
                node,
                known: Mutex::new(known),
                changed: Notify::new(),
                lost,
                files,
                stopping: watch::Sender::new(false),
            }),
            choice,
        })
    }

    /// Answers Envoy until `shutdown` resolves; then writes what is not written.
    pub(crate) async fn serve(
        self,
        listener: UnixListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), GatewayError> {
        let shared = Arc::clone(&self.shared);
        let shutdown = async {
            shutdown.await;
            shared.stopping.send_replace(true);
        };
        let incoming = UnixListenerStream::new(listener);
        let served = tokio::select! {
            served = serve_delta(incoming, self.clone(), REQUEST_BYTES, shutdown) => served,
            () = self.write_changes() => Ok(()),
        };
        self.write().await;
        served.map_err(|source| GatewayError::Relay { source })
    }

    /// Keeps the files as what is known. Never ends.
    async fn write_changes(&self) {
        let mut rest = WRITE_AFTER;
        loop {
            self.shared.changed.notified().await;
            sleep(rest).await;
            let began = Instant::now();
            let written = self.write().await;
            // A type is written whole, however little of it differs: the more there is of
            // it, the rarer.
            rest = WRITE_AFTER.max(began.elapsed() * REST);
            if !written {
                sleep(WRITE_AGAIN).await;
                self.shared.changed.notify_one();
            }
        }
    }

    /// Writes the types that differ; whether all could be.
    async fn write(&self) -> bool {
        let changed = self.shared.known().take_changed();
        if changed.is_empty() {
            return true;
        }
        let files = self.shared.files.clone();
        let failed = tokio::task::spawn_blocking(move || {
            let mut failed = Vec::new();
            for response in changed {
                if let Err(error) = files.write(&response) {
                    tracing::warn!(%error, "the last known configuration is not kept");
                    failed.push(response.type_url);
                }
            }
            failed
        })
        .await
        .unwrap_or_default();
        let whole = failed.is_empty();
        self.shared.known().mark_changed(failed);
        whole
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, LastKnown> {
        // Each change is whole: a panic elsewhere spoils nothing.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeltaHandler for Relay {
    fn open(&self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Opened {
        let (envoy, responses) = mpsc::channel::<Result<DeltaDiscoveryResponse, _>>(IN_TRANSIT);
        let session = Session {
            shared: Arc::clone(&self.shared),
            choice: self.choice.clone(),
            stopping: self.shared.stopping.subscribe(),
            envoy,
        };
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}
