//! A certificate chain with its key, the key never shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::ObjectKey;

/// What a gateway shows for one SNI, checked before it gets here: the chain
/// parses, the key parses, and the two belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The Secret it was read from.
    pub secret: ObjectKey,
    /// Certificate chain, PEM, leaf first.
    pub chain: String,
    /// Private key, PEM.
    pub key: PrivateKey,
}

/// A private key in PEM. `Debug` and `Serialize` show a fingerprint only, so a
/// log, an error or a dump cannot leak it.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(String);

impl PrivateKey {
    /// Wraps a PEM text.
    pub fn new(pem: impl Into<String>) -> Self {
        Self(pem.into())
    }

    /// The PEM text, for the one place that hands it to a gateway by SDS.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn redacted(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        let short: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
        format!("[redacted sha256:{short}]")
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.redacted())
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows_itself() {
        let key = PrivateKey::new("-----BEGIN PRIVATE KEY-----\nMIGH");
        assert!(!format!("{key:?}").contains("MIGH"));
        assert!(!serde_json::to_string(&key).unwrap().contains("MIGH"));
        assert!(key.reveal().contains("MIGH"));
    }
}
