//! Certificates made on the spot, and the Secrets that hold them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::TrialError;

/// A self-signed certificate with its key.
pub struct Issued {
    /// Certificate, PEM.
    pub chain: String,
    /// Private key, PKCS#8 PEM.
    pub key: String,
    /// Certificate, DER: what a handshake shows.
    pub der: Vec<u8>,
}

/// Issues a certificate for these names, wildcards allowed, valid from long ago
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
