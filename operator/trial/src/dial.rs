//! Connections, plain or TLS, with what the peer showed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How a client opens TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The server name to send, case kept; `None` sends none.
    pub sni: Option<String>,
    /// Application protocols to offer, such as `h2`.
    pub alpn: Vec<&'static str>,
}

impl Tls {
    /// Sends this server name and offers HTTP/1.1 only.
    #[must_use]
    pub fn http1(sni: &str) -> Self {
        Self {
            sni: Some(sni.to_owned()),
            alpn: vec!["http/1.1"],
        }
    }

    /// Sends this server name and offers HTTP/2 only.
    #[must_use]
    pub fn http2(sni: &str) -> Self {
        Self {
            sni: Some(sni.to_owned()),
            alpn: vec!["h2"],
        }
    }
}

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection.
pub struct Connection {
    /// The bytes.
    pub stream: Box<dyn Duplex>,
    /// The leaf certificate the peer showed, DER; `None` without TLS.
    pub certificate: Option<Vec<u8>>,
}

/// Opens a connection. Certificates are recorded, never judged: a trial asks
/// which one was shown.
///
/// # Errors
/// Refused connections and failed handshakes.
pub async fn dial(address: SocketAddr, tls: Option<&Tls>) -> io::Result<Connection> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let Some(tls) = tls else {
        return Ok(Connection {
            stream: Box::new(tcp),
            certificate: None,
        });
    };
    let mut config = client_config()?;
    config.alpn_protocols = tls.alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config.enable_sni = tls.sni.is_some();
    let name = match &tls.sni {
        Some(sni) => ServerName::try_from(sni.clone()).map_err(io::Error::other)?,
        None => ServerName::IpAddress(address.ip().into()),
    };
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    let shown = stream.get_ref().1.peer_certificates();
    let certificate = shown.and_then(|chain| chain.first()).map(|c| c.to_vec());
    Ok(Connection {
        stream: Box::new(stream),
        certificate,
    })
}

fn client_config() -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unjudged(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Takes any certificate; signatures are still checked, so that the peer has
/// shown to hold the key.
#[derive(Debug)]
struct Unjudged(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Unjudged {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Trials of upper-case names prove nothing if the client folds them.
    #[tokio::test]
    async fn the_server_name_keeps_its_case() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Tls::http1("UPPER.Example.com");
        let client = tokio::spawn(async move { dial(address, Some(&tls)).await });
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; 16 * 1024];
        let length = stream.read(&mut hello).await.unwrap();
        drop(stream);
        assert!(client.await.unwrap().is_err());
        let found = hello[..length]
            .windows(17)
            .any(|w| w == b"UPPER.Example.com");
        assert!(found, "the client hello holds another spelling");
    }
}
