//! How a gateway comes to its certificate: the operator's side.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::accept::{handshake, next_peer};
use crate::crowd::Crowd;
use crate::error::IdentityError;
use crate::review::{ReviewError, Reviewer};
use crate::trust::{Trust, enrol_server_config};

/// Where to enrol.
pub const ENROL_PATH: &str = "/v1/enrol";
/// The largest request for a certificate, in bytes. One of P-256 has about 500.
pub const MAX_REQUEST: usize = 16 * 1024;

/// The head of a request has so long to arrive.
const HEAD_BOUND: Duration = Duration::from_secs(5);
/// So does its body.
const BODY_BOUND: Duration = Duration::from_secs(5);
/// A whole connection lasts no longer, the review of the token included.
const CONNECTION_BOUND: Duration = Duration::from_secs(30);
/// How long answers under way are waited for at the end.
const END_BOUND: Duration = Duration::from_secs(5);
/// Connections at the same time.
const CONNECTIONS: usize = 256;
/// A head holds little but a token, which has a few kilobytes.
const MAX_HEAD: usize = 32 * 1024;
/// Of a body that is too large, so much is read and dropped: a connection that
/// is closed on unread bytes may lose the answer.
const MAX_DROPPED: usize = 1024 * 1024;

/// The operator's answer to a gateway that it has enrolled.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Enrolled {
    pub(crate) certificate: String,
    pub(crate) bundle: String,
}

/// Answers `POST /v1/enrol` on `listener` until `shutdown` resolves: a token of
/// a gateway and a request for a certificate give that certificate and all roots
/// to trust, by what `trust` holds at that moment. Peers are served at the same
/// time, and each for a bounded time only.
pub async fn serve_enrolment(
    listener: TcpListener,
    trust: watch::Receiver<Arc<Trust>>,
    reviewer: Arc<dyn Reviewer>,
    shutdown: impl Future<Output = ()> + Send,
) {
    tokio::pin!(shutdown);
    let mut connections = Crowd::of(CONNECTIONS);
    loop {
        let (stream, address) = tokio::select! {
            () = &mut shutdown => break,
            next = next_peer(&listener) => next,
        };
        let trust = trust.clone();
        let reviewer = Arc::clone(&reviewer);
        connections.add(async move {
            let stream = match handshake(stream, enrol_server_config(&trust)).await {
                Ok(stream) => stream,
                Err(reason) => {
                    tracing::debug!(%address, reason, "refused a peer of the enrolment port");
                    return;
                }
            };
            let answer = service_fn(|request| {
                let (trust, reviewer) = (trust.clone(), Arc::clone(&reviewer));
                async move { Ok::<_, Infallible>(answer(request, &trust, &*reviewer).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_BOUND)
                .max_buf_size(MAX_HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            match timeout(CONNECTION_BOUND, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%address, %error, "an enrolment broke off"),
                Err(_) => tracing::debug!(%address, "an enrolment took too long"),
            }
        });
    }
    drop(listener);
    if timeout(END_BOUND, connections.finished()).await.is_err() {
        tracing::debug!("ended with enrolments under way");
    }
}

/// A refusal: its status, and its reason as one line.
type Refusal = (StatusCode, String);

async fn answer(
    request: Request<Incoming>,
    trust: &watch::Receiver<Arc<Trust>>,
    reviewer: &dyn Reviewer,
) -> Response<Full<Bytes>> {
    match enrol(request, trust, reviewer).await {
        Ok(enrolled) => response(StatusCode::OK, "application/json", enrolled),
        Err((status, reason)) => {
            tracing::debug!(%status, reason, "enrolled no gateway");
            let mut response = response(status, "text/plain; charset=utf-8", format!("{reason}\n"));
            if status == StatusCode::METHOD_NOT_ALLOWED {
                let allowed = HeaderValue::from_static("POST");
                response.headers_mut().insert(ALLOW, allowed);
            }
            response
        }
    }
}

async fn enrol(
    request: Request<Incoming>,
    trust: &watch::Receiver<Arc<Trust>>,
    reviewer: &dyn Reviewer,
) -> Result<String, Refusal> {
    if request.uri().path() != ENROL_PATH {
        let reason = format!("path: found another one, expected {ENROL_PATH}");
        return Err((StatusCode::NOT_FOUND, reason));
    }
    if request.method() != Method::POST {
        let reason = format!("method: found {}, expected POST", request.method());
        return Err((StatusCode::METHOD_NOT_ALLOWED, reason));
    }
    let (head, body) = request.into_parts();
    let token = bearer(head.headers.get(AUTHORIZATION))?;
    let csr = timeout(BODY_BOUND, read(body)).await.map_err(|_| {
        let reason = format!("body: found no end within {BODY_BOUND:?}; send it whole");
        (StatusCode::REQUEST_TIMEOUT, reason)
    })??;
    // Nothing of the body is looked at before somebody vouched for its sender.
    let gateway = reviewer.review(token).await.map_err(|error| {
        let status = match error {
            ReviewError::Refused { .. } => StatusCode::UNAUTHORIZED,
            ReviewError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, one_line(&error.to_string(), token))
    })?;
    let csr = String::from_utf8(csr).map_err(|_| {
        let reason = "certificate request: found bytes that are no text, expected pem".to_owned();
        (StatusCode::BAD_REQUEST, reason)
    })?;
    // The lock of the channel is not held while signing.
    let trust = Arc::clone(&trust.borrow());
    let authority = trust.authority();
    let certificate = authority
        .sign_gateway(&csr, &gateway, Timestamp::now())
        .map_err(|error| {
            let status = match error {
                IdentityError::BadRequest { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, one_line(&error.to_string(), token))
        })?;
    let enrolled = Enrolled {
        certificate,
        bundle: authority.bundle_pem().to_owned(),
    };
    let text = serde_json::to_string(&enrolled)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    tracing::info!(%gateway, "enrolled a gateway");
    Ok(text)
}

fn bearer(header: Option<&HeaderValue>) -> Result<&str, Refusal> {
    let refuse = |found| {
        let reason = format!(
            "header authorization: found {found}, expected `Bearer` and the pod's service-account token"
        );
        (StatusCode::UNAUTHORIZED, reason)
    };
    let value = header
        .ok_or_else(|| refuse("none"))?
        .to_str()
        .map_err(|_| refuse("bytes that are no text"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => match token.trim() {
            "" => Err(refuse("an empty token")),
            token => Ok(token),
        },
        _ => Err(refuse("another scheme")),
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let reason = format!("body: found it broken off ({error}), expected it whole");
            (StatusCode::BAD_REQUEST, reason)
        })?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len();
        if length <= MAX_REQUEST {
            kept.extend_from_slice(data);
        } else if length > MAX_DROPPED {
            break;
        }
    }
    if length <= MAX_REQUEST {
        return Ok(kept);
    }
    let reason = format!(
        "body: found more than {MAX_REQUEST} bytes, expected a certificate request of ecdsa p-256, which has about 500"
    );
    Err((StatusCode::PAYLOAD_TOO_LARGE, reason))
}

/// `text` as one line that does not hold the token, whoever wrote it.
fn one_line(text: &str, token: &str) -> String {
    text.replace(token, "(the token)")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
