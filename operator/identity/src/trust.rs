//! What one replica of the operator serves TLS with, for as long as its
//! authority and its own certificate last.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::server::{NoServerSessionStorage, WantsServerCert};
use rustls::version::TLS13;
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use crate::authority::{Authority, ServerIdentity};
use crate::error::IdentityError;
use crate::provider::provider;
use crate::secret::PrivateKeyPem;
use crate::verify::GatewaysOnly;

const XDS: &str = "the xds port";
const ENROL: &str = "the enrolment port";

/// An authority, and the certificate that this replica has of it. Never
/// changes: put another in its [`watch`] channel, and each connection
/// accepted from then on goes by that one.
#[derive(Clone, Debug)]
pub struct Trust {
    authority: Authority,
    server: ServerIdentity,
    xds: Arc<ServerConfig>,
    enrol: Arc<ServerConfig>,
}

impl Trust {
    /// Issues a certificate for this replica, under these names beside
    /// [`SERVER_NAME`](crate::SERVER_NAME).
    ///
    /// # Errors
    /// As [`Authority::issue_server`], and [`IdentityError::Tls`].
    pub fn new(
        authority: Authority,
        names: &[String],
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let server = authority.issue_server(names, now)?;
        let gateways = GatewaysOnly::new(root_store(XDS, authority.roots())?)?;
        let xds = builder(XDS)?.with_client_cert_verifier(Arc::new(gateways));
        let xds = finish(XDS, xds, &server, "h2")?;
        let enrol = builder(ENROL)?.with_no_client_auth();
        let enrol = finish(ENROL, enrol, &server, "http/1.1")?;
        Ok(Self {
            authority,
            server,
            xds,
            enrol,
        })
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// This replica's certificate.
    #[must_use]
    pub fn server(&self) -> &ServerIdentity {
        &self.server
    }

    /// When another [`Trust`] should take its place, because the replica's
    /// certificate or its authority grows old.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        self.server.renew_at().min(self.authority.rotate_at())
    }
}

/// What the xDS port serves with now: TLS 1.3, HTTP/2, and no client but a
/// gateway with a certificate of a root in the authority's bundle.
#[must_use]
pub fn xds_server_config(trust: &watch::Receiver<Arc<Trust>>) -> Arc<ServerConfig> {
    Arc::clone(&trust.borrow().xds)
}

/// What the enrolment port serves with now: TLS 1.3, HTTP/1.1, any client.
#[must_use]
pub fn enrol_server_config(trust: &watch::Receiver<Arc<Trust>>) -> Arc<ServerConfig> {
    Arc::clone(&trust.borrow().enrol)
}

fn builder(
    what: &'static str,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, IdentityError> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(IdentityError::tls(what))
}

fn finish(
    what: &'static str,
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    server: &ServerIdentity,
    protocol: &str,
) -> Result<Arc<ServerConfig>, IdentityError> {
    let mut config = builder
        .with_single_cert(server.chain.clone(), key_der(what, server.key_pem())?)
        .map_err(IdentityError::tls(what))?;
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    // A resumed session skips the client's certificate: one that has expired
    // meanwhile, or whose root is no longer trusted, would be let in.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A store of these roots.
pub(crate) fn root_store(
    what: &'static str,
    roots: &[CertificateDer<'static>],
) -> Result<RootCertStore, IdentityError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(IdentityError::tls(what))?;
    }
    Ok(store)
}

/// The key of a certificate, as rustls takes it.
pub(crate) fn key_der(
    what: &'static str,
    key: &PrivateKeyPem,
) -> Result<PrivateKeyDer<'static>, IdentityError> {
    PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(IdentityError::tls(what))
}
