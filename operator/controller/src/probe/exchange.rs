//! One connection: connect, ask once, close.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sluice_ir::Host;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Found;

const PROBE: HeaderName = HeaderName::from_static("k-network-probe");
const HASH: HeaderName = HeaderName::from_static("k-network-hash");
/// Only with the right key in it does the gateway answer in place of a backend.
const KEY: HeaderName = HeaderName::from_static("x-sluice-probe");

/// A hash has 64 characters. What else comes is a stranger's, to be cut short.
const LONGEST_SHOWN: usize = 80;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
}

impl Answer {
    /// Refuses all but status 200 with this hash and no other.
    pub(super) fn judge(&self, hash: &str) -> Result<(), Found> {
        if self.status != StatusCode::OK {
            return Err(Found::Status(self.status.as_u16()));
        }
        let found: Vec<_> = self.headers.get_all(HASH).iter().collect();
        if !found.is_empty()
            && found
                .iter()
                .all(|found| found.as_bytes() == hash.as_bytes())
        {
            return Ok(());
        }
        let other = found
            .iter()
            .find(|found| found.as_bytes() != hash.as_bytes());
        let shown = other.map(|other| {
            let text = String::from_utf8_lossy(other.as_bytes());
            text.escape_debug().take(LONGEST_SHOWN).collect()
        });
        Err(Found::Hash(shown))
    }
}

pub(super) async fn ask(
    address: SocketAddr,
    tls: Option<&TlsConnector>,
    host: &Host,
    key: &HeaderValue,
) -> Result<Answer, Found> {
    let unreachable = |error: std::io::Error| Found::Unreachable(error.to_string());
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    // One small packet, which must not wait for another.
    stream.set_nodelay(true).map_err(unreachable)?;
    let Some(tls) = tls else {
        return ask_over(stream, host, key).await;
    };
    let name = ServerName::try_from(host.as_str().to_owned())
        .map_err(|error| Found::Handshake(format!("{host} is no server name: {error}")))?;
    let stream = tls.connect(name, stream).await;
    let stream = stream.map_err(|error| Found::Handshake(error.to_string()))?;
    ask_over(stream, host, key).await
}

async fn ask_over<S>(stream: S, host: &Host, key: &HeaderValue) -> Result<Answer, Found>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let not_http = |error: hyper::Error| Found::NotHttp(error.to_string());
    let request = request(host, key).map_err(|error| Found::NotHttp(error.to_string()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(not_http)?;
    let answering = sender.send_request(request);
    // In this task, so that nothing of it outlives a caller that gave up.
    tokio::pin!(answering, connection);
    let response = tokio::select! {
        biased;
        answered = &mut answering => answered,
        // It ends first where the answer came with the end of the connection.
        _ = &mut connection => answering.await,
    };
    let (head, _) = response.map_err(not_http)?.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
    })
}

fn request(host: &Host, key: &HeaderValue) -> Result<Request<Empty<Bytes>>, http::Error> {
    Request::get("/healthz")
        .header(header::HOST, host.as_str())
        .header(header::USER_AGENT, "Knative-Ingress-Probe")
        .header(header::CONNECTION, "close")
        .header(PROBE, "probe")
        .header(HASH, "override")
        .header(KEY, key)
        .body(Empty::new())
}
