//! The operator's own certificate authority.

mod data;
mod issue;
mod make;

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{Issuer, KeyPair};
use rustls_pki_types::CertificateDer;

use crate::certificate::Facts;
use crate::error::IdentityError;
use crate::secret::PrivateKeyPem;

pub use data::{BUNDLE, CERTIFICATE, KEY, PROBE_KEY};
pub use issue::{SERVER_NAME, ServerIdentity};

/// How long an authority's certificate lasts. It is rotated at half of this.
pub const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long a server's or a gateway's certificate lasts. It is renewed at two
/// thirds of this.
pub const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// A certificate, its private key, and every root that is trusted beside it.
///
/// A rotated authority holds its certificate twice: signed by itself, and by
/// the one before. The second goes along with all that it signs, so that who
/// trusts only the old root yet trusts what the new one signs.
#[derive(Clone)]
pub struct Authority {
    certificate_pem: String,
    root_pem: String,
    /// None before the first rotation.
    crossed: Option<CertificateDer<'static>>,
    key_pem: PrivateKeyPem,
    bundle_pem: String,
    roots: Vec<CertificateDer<'static>>,
    probe_key: String,
    facts: Facts,
    issuer: Arc<Issuer<'static, KeyPair>>,
}

impl Authority {
    /// Its certificate as PEM; after a rotation followed by the one that the
    /// previous authority signed for it.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key.
    #[must_use]
    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key_pem
    }

    /// All roots that are trusted now, as PEM: its own, and after a rotation
    /// the previous one.
    #[must_use]
    pub fn bundle_pem(&self) -> &str {
        &self.bundle_pem
    }

    /// What unlocks a gateway's own answer to probes: 32 hexadecimal digits, the
    /// same over all rotations.
    #[must_use]
    pub fn probe_key(&self) -> &str {
        &self.probe_key
    }

    /// The last moment at which what it signs is accepted.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.facts.life.to
    }

    /// When [`Authority::needs_rotation`] begins to say yes.
    #[must_use]
    pub fn rotate_at(&self) -> Timestamp {
        self.facts.life.after(1, 2)
    }

    /// Whether half of its life is over.
    #[must_use]
    pub fn needs_rotation(&self, now: Timestamp) -> bool {
        now >= self.rotate_at()
    }

    pub(crate) fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    fn ensure_valid(&self, now: Timestamp) -> Result<(), IdentityError> {
        if self.facts.life.covers(now) {
            return Ok(());
        }
        Err(IdentityError::NotValidNow {
            not_before: self.facts.life.from,
            not_after: self.facts.life.to,
            now,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("subject", &self.facts.subject)
            .field("life", &self.facts.life)
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}
