//! Delta ADS as a gRPC service, whoever answers it.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::XdsError;
use crate::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

const SERVICE: &str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
/// The one method that is served, as HTTP/2 names it.
pub const DELTA_METHOD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// How soon a peer that vanished without a word is noticed: it may hold up
/// those who wait for all to acknowledge.
pub const PING_EVERY: Duration = Duration::from_secs(10);
/// How long the answer to such a ping may take.
pub const PING_ANSWER: Duration = Duration::from_secs(5);

/// The responses of one stream.
pub type Responses = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

/// A stream that was opened, or why not.
pub type Opened = Result<Response<Responses>, Status>;

/// Answers streams of delta ADS.
pub trait DeltaHandler: Clone + Send + Sync + 'static {
    /// Takes over a stream of requests, and gives that of the responses.
    ///
    /// # Errors
    /// The status that refuses the stream.
    fn open(&self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Opened;
}

/// Serves `handler` until `shutdown` resolves and every stream has ended: ending
/// them is the handler's part. No request may be longer than `limit` bytes.
///
/// # Errors
/// [`XdsError::Serve`] if the HTTP/2 server fails.
pub async fn serve_delta<I, IO, E>(
    incoming: I,
    handler: impl DeltaHandler,
    limit: usize,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), XdsError>
where
    I: tokio_stream::Stream<Item = Result<IO, E>> + Send,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send,
{
    Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_ANSWER))
        .tcp_nodelay(true)
        .add_service(Delta { handler, limit })
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await
        .map_err(XdsError::Serve)
}

#[derive(Clone)]
struct Delta<H> {
    handler: H,
    limit: usize,
}

impl<H> NamedService for Delta<H> {
    const NAME: &'static str = SERVICE;
}

impl<H: DeltaHandler> tower::Service<http::Request<Body>> for Delta<H> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            DELTA_METHOD => {
                let service = self.clone();
                Box::pin(async move {
                    let codec = ProstCodec::default();
                    let mut grpc = Grpc::new(codec).max_decoding_message_size(service.limit);
                    Ok(grpc.streaming(service, request).await)
                })
            }
            STATE_OF_THE_WORLD => refuse(
                "only delta ADS is served here: set api_type: DELTA_GRPC in ads_config of the bootstrap",
            ),
            _ => refuse(
                "only envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources is served here",
            ),
        }
    }
}

fn refuse(
    why: &'static str,
) -> Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>> {
    Box::pin(async move { Ok(Status::unimplemented(why).into_http()) })
}

impl<H: DeltaHandler> StreamingService<DeltaDiscoveryRequest> for Delta<H> {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = Responses;
    type Future = Ready<Opened>;

    fn call(&mut self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        ready(self.handler.open(request))
    }
}
