//! What a gateway shows to the operator, and whom it trusts.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::Resumption;
use rustls::client::WantsClientCert;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};

use crate::certificate::{facts, gateway, read_pem};
use crate::error::IdentityError;
use crate::life::Life;
use crate::name::GatewayName;
use crate::provider::provider;
use crate::secret::PrivateKeyPem;
use crate::trust::{key_der, root_store};

const XDS: &str = "a gateway's stream";
const FIX: &str = "enrol again";
const BUNDLE_FIX: &str = "mount the bundle that the operator publishes";

/// A gateway's certificate, its key, and the roots that it trusts. The key was
/// made in this process, and never leaves it.
#[derive(Clone)]
pub struct Credentials {
    gateway: GatewayName,
    bundle_pem: String,
    life: Life,
    config: Arc<ClientConfig>,
}

impl Credentials {
    pub(crate) fn new(
        chain_pem: &str,
        key: &PrivateKeyPem,
        bundle_pem: String,
    ) -> Result<Self, IdentityError> {
        const WHAT: &str = "a gateway's certificate";
        let chain = read_pem(WHAT, chain_pem.as_bytes(), FIX)?;
        let own = chain.first().ok_or(IdentityError::NotUnderstood {
            what: WHAT,
            found: "none".to_owned(),
            expected: "one",
            fix: FIX,
        })?;
        let not_understood = |found| IdentityError::NotUnderstood {
            what: WHAT,
            found,
            expected: "one that names a gateway",
            fix: FIX,
        };
        let gateway = gateway(own).map_err(not_understood)?;
        let life = facts(own).map_err(not_understood)?.life;
        let mut config = trusting(XDS, &bundle_pem)?
            .with_client_auth_cert(chain, key_der(XDS, key)?)
            .map_err(IdentityError::tls(XDS))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self {
            gateway,
            bundle_pem,
            life,
            config: Arc::new(config),
        })
    }

    /// The gateway that they are of.
    #[must_use]
    pub fn gateway(&self) -> &GatewayName {
        &self.gateway
    }

    /// The roots that they trust, as PEM: newer perhaps than those that the
    /// gateway enrolled with.
    #[must_use]
    pub fn bundle_pem(&self) -> &str {
        &self.bundle_pem
    }

    /// When to enrol again: two thirds of their life are over.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        self.life.after(2, 3)
    }

    /// The last moment at which the operator accepts them.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.life.to
    }

    /// How to dial the xDS port: TLS 1.3, HTTP/2, with this certificate, and no
    /// root trusted but those of the bundle. Expect
    /// [`SERVER_NAME`](crate::SERVER_NAME) at the other end.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("gateway", &self.gateway)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// TLS 1.3 with servers of these roots only.
pub(crate) fn trusting(
    what: &'static str,
    bundle_pem: &str,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, IdentityError> {
    let roots = read_pem("the trusted bundle", bundle_pem.as_bytes(), BUNDLE_FIX)?;
    let builder: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(IdentityError::tls(what))?;
    Ok(builder.with_root_certificates(root_store(what, &roots)?))
}
