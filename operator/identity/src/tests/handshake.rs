use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

use super::{channel, credentials, dial, gateway, hours, key, listen, now, trust};
use crate::certificate::read_pem;
use crate::credentials::trusting;
use crate::provider::provider;
use crate::trust::key_der;
use crate::{Authority, GatewayIo, GatewayName, HANDSHAKE_BOUND, PrivateKeyPem, Trust, accept};

const GREETING: &[u8] = b"welcome";

/// A port that greets each gateway, and tells of it.
async fn serve(
    trust: watch::Receiver<Arc<Trust>>,
) -> (SocketAddr, mpsc::UnboundedReceiver<GatewayName>) {
    let (listener, address) = listen().await;
    let (sender, seen) = mpsc::unbounded_channel();
    let mut gateways = accept(listener, trust);
    tokio::spawn(async move {
        while let Some(io) = gateways.next().await {
            let mut io = io.unwrap();
            sender.send(io.peer().clone()).unwrap();
            tokio::spawn(async move {
                io.write_all(GREETING).await.unwrap();
                io.shutdown().await.unwrap();
            });
        }
    });
    (address, seen)
}

/// All that a client of this configuration gets to read.
async fn greeting(address: SocketAddr, config: Arc<ClientConfig>) -> (Vec<u8>, io::Result<()>) {
    let mut read = Vec::new();
    let result = async {
        let mut stream = dial(address, config).await?;
        stream.read_to_end(&mut read).await?;
        Ok(())
    };
    let result = result.await;
    (read, result)
}

async fn assert_welcome(address: SocketAddr, config: Arc<ClientConfig>) {
    let (read, result) = greeting(address, config).await;
    result.unwrap();
    assert_eq!(read, GREETING);
}

/// Refused with a TLS alert, not merely cut off, and without one byte.
async fn assert_refused(address: SocketAddr, config: Arc<ClientConfig>, alert: &str) {
    let (read, result) = greeting(address, config).await;
    let error = result.unwrap_err().to_string();
    assert!(read.is_empty(), "{read:?}");
    assert!(error.contains(alert), "{error}");
}

/// A client with a certificate of `authority` that says what `change` makes it.
fn client_of(
    authority: &Authority,
    bundle_pem: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Arc<ClientConfig> {
    let own = read_pem("authority", authority.certificate_pem().as_bytes(), "").unwrap();
    let signing = KeyPair::from_pem(authority.key_pem().expose()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&own[0], signing).unwrap();
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = key();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyPem::new(key.serialize_pem());
    let config = trusting("a test", bundle_pem)
        .unwrap()
        .with_client_auth_cert(vec![leaf.der().clone()], key_der("a test", &key).unwrap())
        .unwrap();
    Arc::new(config)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.to_owned().try_into().unwrap())
}

#[tokio::test]
async fn a_gateway_is_welcome_and_known_by_name() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, mut seen) = serve(trust).await;
    assert_welcome(address, credentials(&authority, now()).client_config()).await;
    assert_eq!(seen.recv().await, Some(gateway()));
}

#[tokio::test]
async fn the_protocol_is_http2_over_tls13() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, _seen) = serve(trust).await;
    let stream = dial(address, credentials(&authority, now()).client_config())
        .await
        .unwrap();
    let session = stream.get_ref().1;
    assert_eq!(session.alpn_protocol(), Some(b"h2".as_slice()));
    let version = session.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn a_client_without_a_certificate_gets_no_byte() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, mut seen) = serve(trust).await;
    let config = trusting("a test", authority.bundle_pem())
        .unwrap()
        .with_no_client_auth();
    assert_refused(address, Arc::new(config), "CertificateRequired").await;
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_client_of_tls12_or_of_no_tls_gets_no_byte() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, mut seen) = serve(trust).await;
    let old = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    assert_refused(address, Arc::new(old), "ProtocolVersion").await;

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut read = Vec::new();
    let _ = plain.read_to_end(&mut read).await;
    let alert = 0x15;
    assert!(read.first().is_none_or(|kind| *kind == alert), "{read:?}");
    assert!(read.len() <= 7, "{read:?}");
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn certificates_that_are_not_good_enough_are_refused() {
    let authority = Authority::generate(now()).unwrap();
    let other = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, mut seen) = serve(trust).await;
    let bundle = authority.bundle_pem();
    let own = gateway().uri().unwrap();

    let of_another = client_of(&other, bundle, |params| {
        params.subject_alt_names = vec![uri(&own)];
    });
    assert_refused(address, of_another, "UnknownCA").await;

    let expired = client_of(&authority, bundle, |params| {
        params.subject_alt_names = vec![uri(&own)];
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    assert_refused(address, expired, "CertificateExpired").await;

    let of_a_server = client_of(&authority, bundle, |params| {
        params.subject_alt_names = vec![uri(&own)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_refused(address, of_a_server, "UnsupportedCertificate").await;

    for names in [
        vec![],
        vec![SanType::DnsName("gateway".to_owned().try_into().unwrap())],
        vec![uri("spiffe://other/gateway/sluice-system/gw")],
        vec![uri("spiffe://sluice/gateway/sluice-system")],
        vec![uri("spiffe://sluice/gateway/sluice-system/gw/more")],
        vec![uri(&own), uri("spiffe://sluice/gateway/sluice-system/gw")],
    ] {
        let nameless = client_of(&authority, bundle, |params| {
            params.subject_alt_names = names;
        });
        assert_refused(address, nameless, "CertificateUnknown").await;
    }
    assert!(seen.try_recv().is_err());
    let good = client_of(&authority, bundle, |params| {
        params.subject_alt_names = vec![uri(&own)];
    });
    assert_welcome(address, good).await;
}

#[tokio::test]
async fn credentials_that_have_expired_are_refused() {
    let authority = Authority::generate(now() - hours(72)).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, _seen) = serve(trust).await;
    let old = credentials(&authority, now() - hours(25));
    assert!(old.expires_at() < Timestamp::now());
    assert_refused(address, old.client_config(), "CertificateExpired").await;
    assert_welcome(address, credentials(&authority, now()).client_config()).await;
}

#[tokio::test]
async fn the_listener_stays_over_two_rotations() {
    let first = Authority::generate(now()).unwrap();
    let second = first.rotated(now()).unwrap();
    let third = second.rotated(now()).unwrap();
    let (sender, trusted) = channel(&first);
    let (address, _seen) = serve(trusted).await;
    let old = credentials(&first, now());
    let newer = credentials(&second, now());
    assert_welcome(address, old.client_config()).await;
    // Signed by an authority that this replica has not heard of yet.
    let early = credentials(&second, now());
    assert_welcome(address, early.client_config()).await;

    sender.send_replace(trust(&second));
    assert_welcome(address, old.client_config()).await;
    assert_welcome(address, newer.client_config()).await;

    sender.send_replace(trust(&third));
    assert_welcome(address, newer.client_config()).await;
    assert_welcome(address, credentials(&third, now()).client_config()).await;
    let (read, result) = greeting(address, old.client_config()).await;
    assert!(result.is_err() && read.is_empty());
    // Whatever it trusts itself, the operator does not trust it any more.
    let config = client_of(&first, third.bundle_pem(), |params| {
        params.subject_alt_names = vec![uri(&gateway().uri().unwrap())];
    });
    assert_refused(address, config, "UnknownCA").await;
}

#[tokio::test]
async fn a_session_is_not_taken_up_again_without_its_certificate() {
    let authority = Authority::generate(now()).unwrap();
    let (sender, trusted) = channel(&authority);
    let (address, _seen) = serve(trusted).await;
    // A client that would resume if it were let.
    let config = client_of(&authority, authority.bundle_pem(), |params| {
        params.subject_alt_names = vec![uri(&gateway().uri().unwrap())];
    });
    for _ in 0..2 {
        let mut stream = dial(address, Arc::clone(&config)).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
    drop(sender);
    // The last trust is kept where nobody gives another.
    assert_welcome(address, config).await;
}

#[tokio::test]
async fn silent_peers_hold_up_nobody() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, _seen) = serve(trust).await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let begun = std::time::Instant::now();
    assert_welcome(address, credentials(&authority, now()).client_config()).await;
    assert!(begun.elapsed() < HANDSHAKE_BOUND);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_cut_off_in_time() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (address, mut seen) = serve(trust).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut read = Vec::new();
    let _ = silent.read_to_end(&mut read).await;
    assert!(read.is_empty());
    assert!(begun.elapsed() <= HANDSHAKE_BOUND * 2);
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn dropping_the_stream_closes_the_listener() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (listener, address) = listen().await;
    let gateways = accept(listener, trust);
    let mut waiting = TcpStream::connect(address).await.unwrap();
    drop(gateways);
    // Its handshake is given up too.
    let mut read = Vec::new();
    let _ = waiting.read_to_end(&mut read).await;
    assert!(read.is_empty());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tonic_takes_the_stream() {
    fn taken<S, IO>(_: &S)
    where
        S: tokio_stream::Stream<Item = Result<IO, io::Error>> + Send + 'static,
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        IO: Connected<ConnectInfo = GatewayName>,
    {
    }
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let (listener, address) = listen().await;
    let mut gateways = accept(listener, trust);
    taken::<_, GatewayIo>(&gateways);
    let _client = dial(address, credentials(&authority, now()).client_config()).await;
    let io = gateways.next().await.unwrap().unwrap();
    assert_eq!(io.connect_info(), gateway());
}
