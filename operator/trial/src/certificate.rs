//! Certificates made on the spot, and the Secrets that hold them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::TrialError;

/// A certificate with its key.
pub struct Issued {
    /// Certificate, PEM.
    pub chain: String,
    /// Private key, PKCS#8 PEM.
    pub key: String,
    /// Certificate, DER: what a handshake shows.
    pub der: Vec<u8>,
}

/// Issues a self-signed certificate for these names, wildcards allowed, valid from long ago
/// for long.
///
/// # Errors
/// A name that no certificate can hold.
pub fn issue(names: &[&str]) -> Result<Issued, TrialError> {
    let fault = |error: rcgen::Error| TrialError::Certificate(error.to_string());
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = KeyPair::generate().map_err(fault)?;
    let certificate = CertificateParams::new(names)
        .and_then(|params| params.self_signed(&key))
        .map_err(fault)?;
    Ok(Issued {
        chain: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().to_vec(),
    })
}

/// An authority. All have the same name, as the old and the new one of a rotation
/// do: only their keys tell them apart.
pub struct Authority {
    /// Its certificate, PEM.
    pub root: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// None in practice: its name is a constant.
    pub fn generate() -> Result<Self, TrialError> {
        let fault = |error: rcgen::Error| TrialError::Certificate(error.to_string());
        let key = KeyPair::generate().map_err(fault)?;
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).map_err(fault)?.pem();
        let issuer = Issuer::new(parameters, key);
        Ok(Self { root, issuer })
    }

    /// Issues a certificate for a name.
    ///
    /// # Errors
    /// A name that no certificate can hold.
    pub fn issue(&self, name: &str) -> Result<Issued, TrialError> {
        let fault = |error: rcgen::Error| TrialError::Certificate(error.to_string());
        let key = KeyPair::generate().map_err(fault)?;
        let mut parameters = CertificateParams::new([name.to_owned()]).map_err(fault)?;
        parameters.use_authority_key_identifier_extension = true;
        // Not the authority's, or it would look like one that it issued to itself.
        parameters.distinguished_name = DistinguishedName::new();
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(fault)?;
        Ok(Issued {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        })
    }
}

impl Issued {
    /// The manifest of a `kubernetes.io/tls` Secret with this pair.
    #[must_use]
    pub fn secret(&self, namespace: &str, name: &str) -> Value {
        secret(namespace, name, &self.chain, &self.key)
    }
}

/// The manifest of a `kubernetes.io/tls` Secret with any two texts.
#[must_use]
pub fn secret(namespace: &str, name: &str, chain: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": STANDARD.encode(chain), "tls.key": STANDARD.encode(key)},
    })
}
