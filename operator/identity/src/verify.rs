//! Which clients may finish a handshake on the xDS port.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate;
use crate::error::IdentityError;
use crate::provider::provider;

/// Lets in whoever has a certificate of a trusted root that names a gateway.
#[derive(Debug)]
pub(crate) struct GatewaysOnly {
    chains: Arc<dyn ClientCertVerifier>,
}

/// Why a certificate of a trusted root is refused.
#[derive(Debug, thiserror::Error)]
#[error("found {found}, expected one uri that names a gateway")]
struct NoGateway {
    found: String,
}

impl GatewaysOnly {
    pub(crate) fn new(roots: RootCertStore) -> Result<Self, IdentityError> {
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(IdentityError::tls("the xds port"))?;
        Ok(Self { chains })
    }
}

impl ClientCertVerifier for GatewaysOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .chains
            .verify_client_cert(end_entity, intermediates, now)?;
        match certificate::gateway(end_entity) {
            Ok(_) => Ok(verified),
            Err(found) => Err(Error::InvalidCertificate(CertificateError::Other(
                OtherError(Arc::new(NoGateway { found })),
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
