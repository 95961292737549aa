//! One request in, one answer out.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::time::sleep;

use super::record::text;
use super::{Control, Desk, Echo, Received, upgrade};
use crate::grpc;

/// Every answer names its backend in this header.
pub const NAME_HEADER: &str = "x-backend";

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Knative's probe headers (`knative.dev/networking pkg/http/header`).
const PROBE: (&str, &str) = ("k-network-probe", "probe");
const HASH: &str = "k-network-hash";

/// Answers; an error breaks the connection off, as [`Control::reset`] asks.
pub(super) async fn answer(
    desk: Arc<Desk>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (name, record) = (&*desk.name, &desk.record);
    if text(request.headers(), PROBE.0).as_deref() == Some(PROBE.1) {
        record.count_probe();
        return Ok(named(probe(request.headers()), name));
    }
    let received = Received::of(&request);
    record.take(received.clone());
    let response = if upgrade::is_websocket(&request) {
        upgrade::websocket(request, desk.closed.clone())
    } else if is_grpc(request.headers()) {
        ping(name, request)
    } else {
        echo(name, received, request).await?
    };
    Ok(named(response, name))
}

fn named(mut response: Response<Body>, name: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(name) {
        response.headers_mut().insert(NAME_HEADER, value);
    }
    response
}

/// Answers a probe by itself, as every Knative image does
/// (`knative.dev/networking pkg/http/probe/handler.go`).
fn probe(headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    match headers.get(HASH).filter(|hash| !hash.is_empty()) {
        Some(hash) => {
            response.headers_mut().insert(HASH, hash.clone());
        }
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

async fn echo(
    name: &str,
    received: Received,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let control = Control::parse(request.uri().query().unwrap_or_default());
    let body_bytes = length(request.into_body()).await?;
    if control.reset {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    sleep(control.delay).await;
    let text = match control.size {
        Some(size) => Bytes::from(vec![b'.'; size]),
        None => {
            let echo = Echo {
                name: name.to_owned(),
                received,
                body_bytes,
            };
            serde_json::to_vec(&echo)?.into()
        }
    };
    let body = if control.pause.is_zero() {
        full(text)
    } else {
        let later = async move {
            sleep(control.pause).await;
            Ok(Frame::data(text))
        };
        StreamBody::new(stream::once(later)).boxed_unsync()
    };
    let mut response = Response::new(body);
    if let Some(status) = control.status.map(StatusCode::from_u16) {
        *response.status_mut() = status.map_err(io::Error::other)?;
    }
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

async fn length(mut body: Incoming) -> io::Result<u64> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(bytes)
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    text(headers, "content-type").is_some_and(|kind| kind.starts_with(grpc::CONTENT_TYPE))
}

/// Answers each message of a gRPC call as it comes with `<backend>: <message>`.
fn ping(name: &str, request: Request<Incoming>) -> Response<Body> {
    let known = [grpc::UNARY, grpc::STREAM].contains(&request.uri().path());
    let body = if known {
        replies(name.to_owned(), request.into_body())
    } else {
        // Status 12 is UNIMPLEMENTED.
        StreamBody::new(stream::iter([Ok(trailer("12"))])).boxed_unsync()
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static(grpc::CONTENT_TYPE),
    );
    response
}

fn replies(name: String, body: Incoming) -> Body {
    let state = Some((name, body, grpc::Unframer::default()));
    let frames = stream::unfold(state, |state| async move {
        let (name, mut body, mut unframer) = state?;
        loop {
            match unframer.next_message() {
                Ok(Some(message)) => {
                    let mut reply = format!("{name}: ").into_bytes();
                    reply.extend_from_slice(&message);
                    let frame = Frame::data(grpc::frame(&reply));
                    return Some((Ok(frame), Some((name, body, unframer))));
                }
                Ok(None) => {}
                // Status 13 is INTERNAL.
                Err(_) => return Some((Ok(trailer("13")), None)),
            }
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        unframer.push(data);
                    }
                }
                // Status 1 is CANCELLED: the caller broke off.
                Some(Err(_)) => return Some((Ok(trailer("1")), None)),
                None => return Some((Ok(trailer("0")), None)),
            }
        }
    });
    StreamBody::new(frames.fuse()).boxed_unsync()
}

fn trailer(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    Frame::trailers(trailers)
}
