//! Fixtures: a moment, gateways, requests, and both ends of a connection.

mod authority;
mod crowd;
mod enrolment;
mod handshake;
mod name;
mod secrets;
mod sign;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::credentials::Credentials;
use crate::secret::PrivateKeyPem;
use crate::{Authority, GatewayName, SERVER_NAME, Trust};

/// Verification goes by the real clock, and so must what is verified.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

fn gateway() -> GatewayName {
    GatewayName {
        namespace: "sluice-system".to_owned(),
        pod: "sluice-gateway-7d9f-x2k4b".to_owned(),
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn request(key: &KeyPair, params: &CertificateParams) -> String {
    params.serialize_request(key).unwrap().pem().unwrap()
}

/// Credentials as [`crate::enrol`] makes them, without the wire.
fn credentials(authority: &Authority, at: Timestamp) -> Credentials {
    let key = key();
    let csr = request(&key, &CertificateParams::default());
    let chain = authority.sign_gateway(&csr, &gateway(), at).unwrap();
    let key = PrivateKeyPem::new(key.serialize_pem());
    Credentials::new(&chain, &key, authority.bundle_pem().to_owned()).unwrap()
}

fn trust(authority: &Authority) -> Arc<Trust> {
    Arc::new(Trust::new(authority.clone(), &[], now()).unwrap())
}

fn channel(authority: &Authority) -> (watch::Sender<Arc<Trust>>, watch::Receiver<Arc<Trust>>) {
    watch::channel(trust(authority))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn dial(
    address: SocketAddr,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    TlsConnector::from(config).connect(name, stream).await
}
