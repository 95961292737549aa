//! The gRPC service: moves bytes between gateways and their [`Stream`]s.

use std::error::Error;
use std::future::Future;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::metadata::MetadataValue;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::service::{DeltaHandler, Opened, serve_delta};
use crate::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use crate::{Publisher, Stream, XdsError};

/// Responses between a stream and its socket. A stream has at most one response
/// unacknowledged for each of six types, so one that keeps to the protocol
/// never fills it, and one that does not waits.
const IN_TRANSIT: usize = 8;

/// Where gateways connect.
#[derive(Debug)]
pub enum Listener {
    /// A socket on this machine.
    Unix(UnixListener),
    /// A socket on the network.
    Tcp(TcpListener),
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

/// Serves delta ADS until `shutdown` resolves; then ends every stream with
/// `UNAVAILABLE`, on which a gateway serves on and connects again.
///
/// # Errors
/// [`XdsError::Serve`] if the listening socket fails.
pub async fn serve(
    listener: impl Into<Listener>,
    publisher: Publisher,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), XdsError> {
    match listener.into() {
        Listener::Unix(listener) => {
            let incoming = UnixListenerStream::new(listener);
            serve_incoming(incoming, publisher, Admission::default(), shutdown).await
        }
        Listener::Tcp(listener) => {
            let incoming = TcpListenerStream::new(listener);
            serve_incoming(incoming, publisher, Admission::default(), shutdown).await
        }
    }
}

/// Who may speak on the connections of a server, and what each stream is told.
#[derive(Clone, Default)]
pub struct Admission {
    /// The node id that a connection has proven, read from what its transport
    /// says of it; it replaces whatever the gateway calls itself, and a
    /// connection that has proven none is refused. `None`: gateways are believed.
    pub proven: Option<fn(&http::Extensions) -> Option<String>>,
    /// Whether this replica leads. Each stream is told when it opens, by the
    /// header [`LEADER_HEADER`]; when the replica ceases to lead its streams end,
    /// so that gateways look for the one that does. `None`: nothing is said.
    pub leader: Option<watch::Receiver<bool>>,
}

/// The response header of a stream that says whether its replica leads: `true`
/// or `false`.
pub const LEADER_HEADER: &str = "x-sluice-leader";

/// Like [`serve`], on connections that the caller accepts (and may have
/// authenticated and encrypted).
///
/// # Errors
/// [`XdsError::Serve`] if the HTTP/2 server fails.
pub async fn serve_incoming<I, IO, E>(
    incoming: I,
    publisher: Publisher,
    admission: Admission,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), XdsError>
where
    I: tokio_stream::Stream<Item = Result<IO, E>> + Send,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send,
{
    let stop = watch::Sender::new(false);
    let limit = publisher.settings().request_bytes;
    let service = Ads {
        publisher,
        admission,
        stopping: stop.subscribe(),
    };
    let shutdown = async {
        shutdown.await;
        // Streams end only when told: the server waits for each.
        stop.send_replace(true);
    };
    serve_delta(incoming, service, limit, shutdown).await
}

/// What each stream of a server is given to.
#[derive(Clone)]
struct Ads {
    publisher: Publisher,
    admission: Admission,
    stopping: watch::Receiver<bool>,
}

impl DeltaHandler for Ads {
    fn open(&self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Opened {
        let name = match self.admission.proven {
            None => None,
            Some(proven) => match proven(request.extensions()) {
                Some(name) => Some(name),
                None => {
                    let refused = "the connection has not proven which gateway it is";
                    return Err(Status::unauthenticated(refused));
                }
            },
        };
        let leader = self.admission.leader.clone();
        let leads = leader.as_ref().map(|leader| *leader.borrow());
        let (sender, receiver) = mpsc::channel(IN_TRANSIT);
        let stream = self.publisher.with_store(Stream::open);
        let span = tracing::info_span!("xds", stream = stream.id().0, node = tracing::field::Empty);
        let session = Session {
            publisher: self.publisher.clone(),
            stream,
            sender,
            stopping: self.stopping.clone(),
            name,
            // One that does not lead has nothing to lose.
            leader: leader.filter(|_| leads == Some(true)),
        };
        tokio::spawn(session.run(request.into_inner()).instrument(span));
        let mut response = Response::new(ReceiverStream::new(receiver));
        if let Some(leads) = leads {
            let leads = MetadataValue::from_static(if leads { "true" } else { "false" });
            response.metadata_mut().insert(LEADER_HEADER, leads);
        }
        Ok(response)
    }
}

/// One stream and its two directions.
struct Session {
    publisher: Publisher,
    stream: Stream,
    sender: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    stopping: watch::Receiver<bool>,
    /// The node id that the connection has proven.
    name: Option<String>,
    /// Of a replica that led when the stream opened.
    leader: Option<watch::Receiver<bool>>,
}

impl Session {
    async fn run(mut self, mut requests: Streaming<DeltaDiscoveryRequest>) {
        tracing::info!("stream opened");
        let ended = self.exchange(&mut requests).await;
        self.publisher.report(self.stream.id(), None);
        self.publisher.with_store(|store| self.stream.close(store));
        tracing::info!(ended, "stream closed");
    }

    /// Runs until one side ends; says which.
    async fn exchange(&mut self, requests: &mut Streaming<DeltaDiscoveryRequest>) -> &'static str {
        let Self {
            publisher,
            stream,
            sender,
            stopping,
            name,
            leader,
        } = self;
        let mut epochs = publisher.epochs();
        loop {
            let wakeup = stream.next_wakeup();
            tokio::select! {
                biased;
                () = stopped(stopping) => {
                    let goodbye = Status::unavailable("the xDS server is shutting down");
                    let _ = sender.try_send(Err(goodbye));
                    return "shutdown";
                }
                () = deposed(leader.as_mut()) => {
                    let goodbye = Status::unavailable("another replica has the lease now");
                    let _ = sender.try_send(Err(goodbye));
                    return "lease";
                }
                () = sender.closed() => return "gateway",
                request = requests.message() => match request {
                    Ok(Some(mut request)) => {
                        if let (Some(node), Some(name)) = (&mut request.node, &*name) {
                            node.id.clone_from(name);
                        }
                        if let Some(node) = &request.node {
                            tracing::Span::current().record("node", node.id.as_str());
                        }
                        publisher.with_store(|store| stream.on_request(request, store));
                    }
                    Ok(None) => return "gateway",
                    Err(status) => {
                        tracing::debug!(
                            code = ?status.code(),
                            error = status.message(),
                            "request stream failed"
                        );
                        return "gateway";
                    }
                },
                // The publisher, hence the sender of epochs, outlives this loop.
                _ = epochs.changed() => {}
                () = until(wakeup) => {}
            }
            let now = Instant::now();
            let responses = publisher.with_store(|store| stream.poll(store, now));
            publisher.report(stream.id(), Some(&stream.node()));
            for response in responses {
                tokio::select! {
                    biased;
                    () = stopped(stopping) => return "shutdown",
                    sent = sender.send(Ok(response)) => if sent.is_err() {
                        return "gateway";
                    },
                }
            }
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone means that the server is gone too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Resolves when the replica ceases to lead; never where it did not, or where
/// nobody says.
async fn deposed(leader: Option<&mut watch::Receiver<bool>>) {
    match leader {
        // A sender that is gone leads no more.
        Some(leader) => drop(leader.wait_for(|leads| !leads).await),
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
