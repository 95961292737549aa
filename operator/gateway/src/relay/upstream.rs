//! Which replica of the operator a gateway listens to: the one that leads, so that
//! whoever writes statuses sees every gateway; any other while there is none.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use sluice_identity::{Credentials, SERVER_NAME};
use sluice_xds::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use sluice_xds::{DELTA_METHOD, LEADER_HEADER, PING_ANSWER, PING_EVERY};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// How long one replica may take to say whether it leads, or to take a stream.
pub(super) const ASK_BOUND: Duration = Duration::from_secs(2);
/// How often a leader is looked for while the replica in use is none.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How long to wait after nobody answered.
const PAUSE: Duration = Duration::from_millis(300);

/// The replica in use, if one can be reached.
pub(crate) type Choice = Option<Arc<Upstream>>;

/// A replica that answers.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) leads: bool,
    channel: Channel,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("address", &self.address)
            .field("leads", &self.leads)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Opens a stream of requests; with whether the replica leads, as it says now.
    pub(crate) async fn stream(
        &self,
        requests: impl Stream<Item = DeltaDiscoveryRequest> + Send + 'static,
    ) -> Result<(bool, Streaming<DeltaDiscoveryResponse>), Status> {
        open(self.channel.clone(), requests).await
    }

    /// Asks a replica whether it leads. The stream that it is asked by ends with the
    /// answer: one that had more to say would stay open after it is dropped here, and
    /// the replica would count it as a gateway that never acknowledges.
    async fn ask(address: SocketAddr, credentials: &Credentials) -> Result<Self, String> {
        let asked = async {
            let channel = dial(address, credentials).await?;
            let (leads, _) = open(channel.clone(), tokio_stream::empty())
                .await
                .map_err(|status| status.message().to_owned())?;
            Ok(Self {
                address,
                leads,
                channel,
            })
        };
        let slow = |_| Err(format!("no answer within {ASK_BOUND:?}"));
        timeout(ASK_BOUND, asked).await.unwrap_or_else(slow)
    }
}

async fn open(
    channel: Channel,
    requests: impl Stream<Item = DeltaDiscoveryRequest> + Send + 'static,
) -> Result<(bool, Streaming<DeltaDiscoveryResponse>), Status> {
    // What an operator sends is bounded by what it knows.
    let mut grpc = Grpc::new(channel).max_decoding_message_size(usize::MAX);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let method = http::uri::PathAndQuery::from_static(DELTA_METHOD);
    let response = grpc
        .streaming(Request::new(requests), method, ProstCodec::default())
        .await?;
    let leads = response
        .metadata()
        .get(LEADER_HEADER)
        .is_some_and(|leads| leads == "true");
    Ok((leads, response.into_inner()))
}

async fn dial(address: SocketAddr, credentials: &Credentials) -> Result<Channel, String> {
    let connector = TlsConnector::from(credentials.client_config());
    let connect = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(SERVER_NAME).map_err(std::io::Error::other)?;
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    // The scheme says nothing here: the connector speaks TLS in any case.
    Endpoint::from_static("http://sluice-operator")
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .keep_alive_while_idle(true)
        .connect_with_connector(connect)
        .await
        .map_err(|error| causes(&error))
}

/// An error with its causes: those of a transport say nothing by themselves.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}

/// The addresses of all replicas, by names or addresses that commas separate.
pub(crate) async fn replicas(hosts: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    for host in hosts.split(',').map(str::trim) {
        let found = lookup_host((host, port))
            .await
            .map_err(|error| format!("cannot find the operator by the name {host:?}: {error}"))?;
        addresses.extend(found);
    }
    if addresses.is_empty() {
        return Err(format!(
            "the name {hosts:?} of the operator leads to no address"
        ));
    }
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// Looks for replicas, and chooses.
pub(crate) struct Seeker {
    /// Names and xDS port of the operator; see [`replicas`].
    pub(crate) hosts: String,
    pub(crate) port: u16,
    pub(crate) credentials: watch::Receiver<Option<Arc<Credentials>>>,
    /// Told when a stream to the chosen replica broke.
    pub(crate) lost: Arc<Notify>,
    /// Told when there are replicas and none takes this gateway: what it is known by may
    /// be at fault.
    pub(crate) doubted: Arc<AtomicBool>,
    /// Where replicas were when that could last be found out.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Seeker {
    /// Chooses for as long as anybody wants to know.
    pub(crate) async fn run(mut self, choice: watch::Sender<Choice>) {
        let mut credentials = self.credentials.clone();
        loop {
            // Before the first enrolment there is nobody to ask.
            if credentials.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let found = self.look().await;
            let (leads, anybody) = match &found {
                Some(found) => (found.leads, true),
                None => (false, false),
            };
            if let Some(found) = &found {
                tracing::info!(operator = %found.address, leads = found.leads, "chose a replica of the operator");
            }
            choice.send_replace(found.map(Arc::new));
            if !anybody {
                sleep(PAUSE).await;
                continue;
            }
            // A leader is kept until it is lost; of any other it is asked again
            // whether a leader is there, without giving up what runs.
            if leads {
                self.lost.notified().await;
                continue;
            }
            loop {
                if timeout(LOOK_AGAIN, self.lost.notified()).await.is_ok() {
                    break;
                }
                let found = self.look().await;
                if found.as_ref().is_some_and(|found| found.leads) {
                    choice.send_replace(found.map(Arc::new));
                    self.lost.notified().await;
                    break;
                }
            }
        }
    }

    /// The leader among all replicas, or the first that answers.
    async fn look(&mut self) -> Option<Upstream> {
        let credentials = self.credentials.borrow().clone()?;
        // A name server goes with its node as well; pods keep their addresses.
        match timeout(ASK_BOUND, replicas(&self.hosts, self.port)).await {
            Ok(Ok(addresses)) => self.addresses = addresses,
            Ok(Err(reason)) => tracing::warn!(reason),
            Err(_) => tracing::warn!(hosts = self.hosts, "no name server answers"),
        }
        let addresses = &self.addresses;
        let mut asked: FuturesUnordered<_> = addresses
            .iter()
            .map(|address| async { (*address, Upstream::ask(*address, &credentials).await) })
            .collect();
        let mut answered = Vec::new();
        while let Some((address, found)) = asked.next().await {
            match found {
                // The others need not answer: a node that is gone takes its time.
                Ok(upstream) if upstream.leads => return Some(upstream),
                Ok(upstream) => answered.push(upstream),
                Err(reason) => {
                    tracing::warn!(operator = %address, reason, "a replica of the operator does not answer");
                }
            }
        }
        if answered.is_empty() && !addresses.is_empty() {
            self.doubted.store(true, Ordering::Relaxed);
        }
        answered.into_iter().min_by_key(|upstream| upstream.address)
    }
}
