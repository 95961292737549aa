//! Lines to a gateway: one way each to send requests and await their answers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::dial::{Tls, dial};
use crate::grpc;
use crate::websocket::Sockets;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// HTTP/1.1 on kept-alive connections, as many as are needed at once.
    KeepAlive,
    /// HTTP/1.1 on a new connection for each request.
    Fresh,
    /// HTTP/2 streams on one connection; prior knowledge where there is no TLS.
    Http2,
    /// gRPC calls with one message each way, on one HTTP/2 connection.
    Grpc,
    /// Messages over this many WebSockets that stay open; the body is the
    /// message, each waits for its echo. A socket that breaks stays broken.
    WebSockets(usize),
}

/// Where to, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address to dial.
    pub address: SocketAddr,
    /// TLS, if any.
    pub tls: Option<Tls>,
    /// How requests travel.
    pub mode: Mode,
    /// How long one request may take, dialling included.
    pub timeout: Duration,
}

impl Target {
    /// Plain, with 30 s for each request.
    #[must_use]
    pub fn plain(address: SocketAddr, mode: Mode) -> Self {
        Self {
            address,
            tls: None,
            mode,
            timeout: Duration::from_secs(30),
        }
    }

    /// TLS, with 30 s for each request.
    #[must_use]
    pub fn tls(address: SocketAddr, mode: Mode, tls: Tls) -> Self {
        Self {
            tls: Some(tls),
            ..Self::plain(address, mode)
        }
    }
}

/// A request to send, as often as one likes.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Method.
    pub method: Method,
    /// `Host`, or `:authority` in HTTP/2.
    pub authority: String,
    /// Path with query.
    pub path: String,
    /// Further headers.
    pub headers: HeaderMap,
    /// Body; a message for gRPC and WebSockets.
    pub body: Bytes,
}

impl Ask {
    /// A GET of a path at a host.
    #[must_use]
    pub fn get(authority: &str, path: &str) -> Self {
        Self {
            method: Method::GET,
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// A POST of a body.
    #[must_use]
    pub fn post(authority: &str, path: &str, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            body: body.into(),
            ..Self::get(authority, path)
        }
    }

    /// A gRPC call with one message.
    #[must_use]
    pub fn ping(authority: &str, message: &'static str) -> Self {
        Self::post(authority, grpc::UNARY, message)
    }

    /// Adds a header; one that is not allowed on the wire is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let parsed = (name.parse::<HeaderName>(), HeaderValue::from_str(value));
        if let (Ok(name), Ok(value)) = parsed {
            self.headers.append(name, value);
        }
        self
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status; 101 for a message over a WebSocket.
    pub status: u16,
    /// Headers; for a WebSocket, those of its handshake.
    pub headers: HeaderMap,
    /// Body; for gRPC the message, for a WebSocket the echo.
    pub body: Bytes,
}

impl Reply {
    /// A header as text; empty where absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// No connection.
    #[error("dial: {0}")]
    Dial(String),
    /// Connected, but no whole answer came.
    #[error("no answer: {0}")]
    Broken(String),
    /// A gRPC call that did not end with status 0.
    #[error("grpc-status {0}")]
    Grpc(String),
    /// Too slow.
    #[error("no answer in time")]
    Timeout,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Just before the request was handed to an open connection, or, where
    /// there was none to be had, when dialling began.
    pub sent: Instant,
    /// When the answer was whole, or its failure known.
    pub received: Instant,
    /// The answer.
    pub outcome: Result<Reply, Failure>,
}

/// A line that requests can be sent on at the same time from many tasks.
pub struct Line {
    target: Target,
    idle: Mutex<Vec<http1::SendRequest<Full<Bytes>>>>,
    shared: tokio::sync::Mutex<Option<http2::SendRequest<Full<Bytes>>>>,
    sockets: Sockets,
}

impl Line {
    /// A line on which nothing is dialled yet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        let count = match target.mode {
            Mode::WebSockets(count) => count,
            _ => 0,
        };
        Self {
            target,
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
            sockets: Sockets::new(count),
        }
    }

    /// Sends a request and awaits its whole answer.
    pub async fn send(&self, ask: &Ask) -> Answer {
        let mut sent = Instant::now();
        let work = self.attempt(ask, &mut sent);
        let outcome = match timeout(self.target.timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Timeout),
        };
        Answer {
            sent,
            received: Instant::now(),
            outcome,
        }
    }

    async fn attempt(&self, ask: &Ask, sent: &mut Instant) -> Result<Reply, Failure> {
        match self.target.mode {
            Mode::KeepAlive => {
                let mut sender = match self.take_idle() {
                    Some(sender) => sender,
                    None => self.dial_http1().await?,
                };
                let reply = exchange_http1(&mut sender, ask, sent).await?;
                if sender.ready().await.is_ok() {
                    let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    idle.push(sender);
                }
                Ok(reply)
            }
            Mode::Fresh => {
                let mut sender = self.dial_http1().await?;
                exchange_http1(&mut sender, ask, sent).await
            }
            Mode::Http2 => {
                let response = self.exchange_http2(ask, ask.body.clone(), sent).await?;
                whole(response).await.map(|(reply, _)| reply)
            }
            Mode::Grpc => {
                let message = grpc::frame(&ask.body);
                let response = self.exchange_http2(ask, message, sent).await?;
                whole(response).await.and_then(grpc_reply)
            }
            Mode::WebSockets(_) => self.sockets.echo(&self.target, ask, sent).await,
        }
    }

    /// An idle connection that the peer has not closed.
    fn take_idle(&self) -> Option<http1::SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn dial_http1(&self) -> Result<http1::SendRequest<Full<Bytes>>, Failure> {
        let io = self.dial().await?;
        let (sender, connection) = http1::handshake(io).await.map_err(broken)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends on the one HTTP/2 connection, which is dialled again where it broke.
    async fn exchange_http2(
        &self,
        ask: &Ask,
        body: Bytes,
        sent: &mut Instant,
    ) -> Result<Response<Incoming>, Failure> {
        let mut sender = {
            let mut shared = self.shared.lock().await;
            match shared.as_ref().filter(|sender| !sender.is_closed()) {
                Some(sender) => sender.clone(),
                None => {
                    let io = self.dial().await?;
                    let executor = TokioExecutor::new();
                    let (sender, connection) = http2::Builder::new(executor)
                        .initial_stream_window_size(1 << 20)
                        .initial_connection_window_size(1 << 20)
                        .handshake(io)
                        .await
                        .map_err(broken)?;
                    tokio::spawn(connection);
                    shared.insert(sender).clone()
                }
            }
        };
        sender.ready().await.map_err(broken)?;
        let scheme = if self.target.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let uri = format!("{scheme}://{}{}", ask.authority, ask.path);
        let mut request = request(ask, uri.parse().map_err(invalid)?, body);
        *request.version_mut() = Version::HTTP_2;
        if self.target.mode == Mode::Grpc {
            let headers = request.headers_mut();
            headers.insert("content-type", HeaderValue::from_static(grpc::CONTENT_TYPE));
            headers.insert("te", HeaderValue::from_static("trailers"));
        }
        *sent = Instant::now();
        sender.send_request(request).await.map_err(broken)
    }

    async fn dial(&self) -> Result<TokioIo<Box<dyn crate::dial::Duplex>>, Failure> {
        let connection = dial(self.target.address, self.target.tls.as_ref()).await;
        connection
            .map(|connection| TokioIo::new(connection.stream))
            .map_err(|error: io::Error| Failure::Dial(error.to_string()))
    }
}

async fn exchange_http1(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    ask: &Ask,
    sent: &mut Instant,
) -> Result<Reply, Failure> {
    let mut request = request(ask, ask.path.parse().map_err(invalid)?, ask.body.clone());
    let host = HeaderValue::from_str(&ask.authority).map_err(invalid)?;
    request.headers_mut().insert(http::header::HOST, host);
    *sent = Instant::now();
    let response = sender.send_request(request).await.map_err(broken)?;
    whole(response).await.map(|(reply, _)| reply)
}

fn request(ask: &Ask, uri: Uri, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = ask.headers.clone();
    request
}

/// Reads an answer to its end, trailers apart.
async fn whole(response: Response<Incoming>) -> Result<(Reply, HeaderMap), Failure> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.map_err(broken)?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let reply = Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: collected.to_bytes(),
    };
    Ok((reply, trailers))
}

/// Unwraps the one message of a gRPC answer. An answer whose HTTP status is not
/// 200 is passed on as it is; `grpc-status` may stand in a trailers-only head.
fn grpc_reply((mut reply, trailers): (Reply, HeaderMap)) -> Result<Reply, Failure> {
    if reply.status != 200 {
        return Ok(reply);
    }
    let status = trailers
        .get("grpc-status")
        .or_else(|| reply.headers.get("grpc-status"));
    match status.map(HeaderValue::as_bytes) {
        Some(b"0") => {
            let mut unframer = grpc::Unframer::default();
            unframer.push(&reply.body);
            let message = unframer.next_message().map_err(Failure::Broken)?;
            reply.body = message.ok_or_else(|| Failure::Broken("no message".to_owned()))?;
            Ok(reply)
        }
        Some(status) => Err(Failure::Grpc(String::from_utf8_lossy(status).into_owned())),
        None => Err(Failure::Broken("no grpc-status".to_owned())),
    }
}

pub(crate) fn broken(error: impl std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Failure::Broken(text)
}

fn invalid(error: impl std::error::Error) -> Failure {
    Failure::Broken(format!("request cannot be written: {error}"))
}

#[cfg(test)]
mod tests;
