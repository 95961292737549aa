//! Connections that have finished a TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use crate::certificate;
use crate::crowd::Crowd;
use crate::io::GatewayIo;
use crate::trust::{Trust, xds_server_config};

/// A handshake is three packets; a peer that needs longer than this is gone, or
/// means harm.
pub const HANDSHAKE_BOUND: Duration = Duration::from_secs(5);
/// Handshakes at the same time. More than a fleet has gateways.
const HANDSHAKES: usize = 1024;
/// Gateways that wait to be taken out of the stream.
const WAITING: usize = 16;
/// When the system has no more file descriptors, some are free again soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The gateways that connect to `listener`, each with its own certificate, by
/// what `trust` holds at that moment. Handshakes go on at the same time, each
/// for [`HANDSHAKE_BOUND`] at most; a peer that is refused never shows up, and
/// gets no byte but the alert that says so. Dropping the stream closes the
/// listener. Holds no error ever: the item's type is what tonic takes.
///
/// Call it within a tokio runtime.
pub fn accept(
    listener: TcpListener,
    trust: watch::Receiver<Arc<Trust>>,
) -> impl Stream<Item = Result<GatewayIo, io::Error>> + Send + Unpin + 'static {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut handshakes = Crowd::of(HANDSHAKES);
        loop {
            let (stream, address) = tokio::select! {
                () = sender.closed() => return,
                next = next_peer(&listener) => next,
            };
            let config = xds_server_config(&trust);
            let sender = sender.clone();
            handshakes.add(async move {
                let io = handshake(stream, config).await.and_then(named);
                match io {
                    // Where nobody takes it any more, it is closed.
                    Ok(io) => drop(sender.send(Ok(io)).await),
                    Err(reason) => {
                        tracing::debug!(%address, reason, "refused a peer of the xds port");
                    }
                }
            });
        }
    });
    ReceiverStream::new(receiver)
}

/// The next connection, whatever the system says of others.
pub(crate) async fn next_peer(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(peer) => return peer,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connection after its handshake, or why there was none.
pub(crate) async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, String> {
    // Small messages are what these ports are for. A socket that refuses the
    // option is dead, which the handshake finds out.
    let _ = stream.set_nodelay(true);
    match timeout(HANDSHAKE_BOUND, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no handshake within {HANDSHAKE_BOUND:?}")),
    }
}

fn named(stream: TlsStream<TcpStream>) -> Result<GatewayIo, String> {
    let (_, session) = stream.get_ref();
    let own = session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or("no certificate")?;
    let peer = certificate::gateway(own)?;
    Ok(GatewayIo::new(stream, peer))
}
