//! A gateway to be asked, over plain sockets and TLS.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::HERE;

/// What the gateway under test saw.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: Mutex<Vec<(Option<String>, HeaderMap)>>,
    pub(super) connections: AtomicUsize,
    open: AtomicUsize,
    pub(super) most_open: AtomicUsize,
}

pub(super) type Respond = fn(nth: usize) -> Response<Empty<Bytes>>;

pub(super) fn with_hash(hash: &str) -> Response<Empty<Bytes>> {
    let response = Response::builder().header("k-network-hash", hash);
    response.body(Empty::new()).unwrap()
}

pub(super) fn with_status(status: u16) -> Response<Empty<Bytes>> {
    let response = Response::builder().status(status);
    let response = response.header("k-network-hash", "the hash");
    response.body(Empty::new()).unwrap()
}

async fn serve<S>(stream: S, name: Option<String>, nth: usize, seen: Arc<Seen>, respond: Respond)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most_open.fetch_max(open, Ordering::SeqCst);
    let service = service_fn(|request: Request<Incoming>| {
        assert_eq!(request.uri(), "/healthz");
        let headers = request.headers().clone();
        seen.requests.lock().unwrap().push((name.clone(), headers));
        async move {
            // Long enough for others to come in meanwhile.
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, Infallible>(respond(nth))
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
    seen.open.fetch_sub(1, Ordering::SeqCst);
}

fn acceptor() -> TlsAcceptor {
    // For another name than any that is asked for.
    let made = rcgen::generate_simple_self_signed(["unrelated.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

pub(super) async fn gateway(tls: bool, respond: Respond) -> (u16, Arc<Seen>) {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    let acceptor = tls.then(acceptor);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let nth = shared.connections.fetch_add(1, Ordering::SeqCst);
            let (seen, acceptor) = (Arc::clone(&shared), acceptor.clone());
            tokio::spawn(async move {
                let Some(acceptor) = acceptor else {
                    return serve(stream, None, nth, seen, respond).await;
                };
                let stream = acceptor.accept(stream).await.unwrap();
                let (_, session) = stream.get_ref();
                assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
                let name = session.server_name().map(ToOwned::to_owned);
                serve(stream, name, nth, seen, respond).await;
            });
        }
    });
    (port, seen)
}
