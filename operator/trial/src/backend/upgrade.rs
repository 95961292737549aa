//! WebSocket echo over an HTTP/1.1 upgrade.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::answer::Body;
use super::record::text;

pub(super) fn is_websocket(request: &Request<Incoming>) -> bool {
    text(request.headers(), "upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
}

/// Agrees to the upgrade and echoes text and binary messages until the peer closes.
pub(super) fn websocket(
    mut request: Request<Incoming>,
    mut closed: watch::Receiver<()>,
) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    let accept = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
        .and_then(|accept| HeaderValue::from_str(&accept).ok());
    let Some(accept) = accept else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    tokio::spawn(async move {
        // An upgrade that fails is a peer that went away.
        let Ok(upgraded) = hyper::upgrade::on(&mut request).await else {
            return;
        };
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let echo = async {
            while let Some(Ok(message)) = socket.next().await {
                let echoed = message.is_text() || message.is_binary();
                if echoed && socket.send(message).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = echo => {}
            // Nothing is ever sent: an error says that the backend is gone.
            _ = closed.changed() => {}
        }
    });
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}
