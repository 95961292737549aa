//! How a gateway comes to its certificate: the gateway's side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::credentials::{Credentials, trusting};
use crate::enrolment::{ENROL_PATH, Enrolled};
use crate::error::IdentityError;
use crate::secret::PrivateKeyPem;

const ENROL: &str = "enrolment";
/// Connecting and the handshake, so that a dead replica costs little.
const CONNECT_BOUND: Duration = Duration::from_secs(5);
/// The answer. The operator in turn waits for its API server.
const ANSWER_BOUND: Duration = Duration::from_secs(30);
/// A chain of two and a bundle of two have some 4 KiB.
const MAX_ANSWER: usize = 256 * 1024;
/// So much of a refusal's reason is repeated.
const MAX_REASON: usize = 500;

/// Makes a key, and has the operator at `address` make a certificate for it.
/// The operator must have a certificate of `bundle_pem` for `server_name`, which
/// is [`SERVER_NAME`](crate::SERVER_NAME) for all replicas; `token` is what it
/// knows this pod by, and is sent to no other.
///
/// # Errors
/// [`IdentityError`], none of which holds the token.
pub async fn enrol(
    address: SocketAddr,
    server_name: &str,
    bundle_pem: &str,
    token: &str,
) -> Result<Credentials, IdentityError> {
    let authorization = bearer(token)?;
    let name = ServerName::try_from(server_name.to_owned()).map_err(|_| {
        not_understood(
            "the server's name",
            format!("{server_name:?}"),
            "a dns name or an ip address",
            "take sluice-operator",
        )
    })?;
    let mut config = trusting(ENROL, bundle_pem)?.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(IdentityError::not_made("a gateway's key"))?;
    let csr = CertificateParams::default()
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(IdentityError::not_made("a certificate request"))?;

    let unreachable = |doing| {
        move |source| IdentityError::Unreachable {
            address,
            doing,
            source,
        }
    };
    let slow = |after| move |_| IdentityError::Slow { address, after };
    let connected = async {
        let stream = TcpStream::connect(address)
            .await
            .map_err(unreachable("connecting"))?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(unreachable("the tls handshake"))
    };
    let stream = timeout(CONNECT_BOUND, connected)
        .await
        .map_err(slow(CONNECT_BOUND))??;

    let mut request = Request::new(Full::new(Bytes::from(csr)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(ENROL_PATH);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/pkcs10"));
    headers.insert(HOST, host(server_name)?);
    let answered = exchange(TokioIo::new(stream), request);
    let (status, body) = timeout(ANSWER_BOUND, answered)
        .await
        .map_err(slow(ANSWER_BOUND))?
        .map_err(io::Error::other)
        .map_err(unreachable("the request"))?;

    if status != StatusCode::OK {
        return Err(IdentityError::Refused {
            address,
            status: status.as_u16(),
            reason: reason(&body, token),
        });
    }
    let enrolled: Enrolled =
        serde_json::from_slice(&body).map_err(|error| IdentityError::BadAnswer {
            address,
            found: format!("{} bytes of another form ({error})", body.len()),
            expected: "json of a certificate and a bundle",
        })?;
    let key = PrivateKeyPem::new(key.serialize_pem());
    Credentials::new(&enrolled.certificate, &key, enrolled.bundle)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange<IO>(
    io: TokioIo<IO>,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Failure>
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await?;
    let asked = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok::<_, Failure>((head.status, body))
    };
    tokio::pin!(connection, asked);
    // In one task: given up, both end. An answer that is there is enough; how
    // the connection ends then is of no interest.
    tokio::select! {
        answered = &mut asked => answered,
        driven = &mut connection => match asked.await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(driven.err().map_or(failure, Failure::from)),
        },
    }
}

fn bearer(token: &str) -> Result<HeaderValue, IdentityError> {
    let token = token.trim();
    let expected = "a service-account token";
    let fix = "mount a projected token with the audience of the operator";
    if token.is_empty() {
        return Err(not_understood(
            "the token",
            "nothing".to_owned(),
            expected,
            fix,
        ));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        let found = format!("{} bytes that fit no header", token.len());
        not_understood("the token", found, expected, fix)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn host(server_name: &str) -> Result<HeaderValue, IdentityError> {
    HeaderValue::try_from(server_name).map_err(|_| {
        not_understood(
            "the server's name",
            format!("{server_name:?}"),
            "text that fits a header",
            "take sluice-operator",
        )
    })
}

/// The first line of what the operator said.
fn reason(body: &[u8], token: &str) -> String {
    let text = String::from_utf8_lossy(body).replace(token.trim(), "(the token)");
    let line = text.lines().next().unwrap_or_default();
    let shown = |c: &char| !c.is_control();
    line.chars().filter(shown).take(MAX_REASON).collect()
}

fn not_understood(
    what: &'static str,
    found: String,
    expected: &'static str,
    fix: &'static str,
) -> IdentityError {
    IdentityError::NotUnderstood {
        what,
        found,
        expected,
        fix,
    }
}
