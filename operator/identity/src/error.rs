//! Why an identity could not be made, read, given or had.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

/// What went wrong around one identity. No message holds a key or a token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A key of the authority's data is not there, or is empty.
    #[error(
        "authority data: {key}: found {found}, expected {expected}; restore it, or delete all of the data to have a new authority made, with which every gateway must enrol again"
    )]
    Missing {
        /// The key.
        key: &'static str,
        /// What is there.
        found: &'static str,
        /// What should be.
        expected: &'static str,
    },
    /// What should hold a certificate, a key or a name holds something else.
    #[error("{what}: found {found}, expected {expected}; {fix}")]
    NotUnderstood {
        /// What was read, such as a key of the authority's data.
        what: &'static str,
        /// What it holds. Never its text where that may be secret.
        found: String,
        /// What it should hold.
        expected: &'static str,
        /// What to do about it.
        fix: &'static str,
    },
    /// Certificate and private key do not belong together.
    #[error(
        "{certificate} and {key}: found a key of another certificate, expected the one of {subject}; put back the pair that was written together"
    )]
    KeyMismatch {
        /// Where the certificate stands.
        certificate: &'static str,
        /// Where the key stands.
        key: &'static str,
        /// Whom the certificate is for.
        subject: String,
    },
    /// The authority's own time is over, or has not come.
    #[error(
        "authority: found it valid from {not_before} to {not_after}, expected that to cover {now}; rotate it, and check the clock"
    )]
    NotValidNow {
        /// Its first moment.
        not_before: Timestamp,
        /// Its last moment.
        not_after: Timestamp,
        /// The moment it was to sign at.
        now: Timestamp,
    },
    /// A gateway asks for a certificate with something that is no request.
    #[error("certificate request: found {found}, expected {expected}; make it anew")]
    BadRequest {
        /// What came.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A name that no pod can have.
    #[error(
        "gateway name: {field}: found {found:?}, expected {expected}; take it from the reviewed token"
    )]
    BadName {
        /// Namespace or pod.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A certificate could not be made.
    #[error("making {what} failed")]
    NotMade {
        /// What was to be made.
        what: &'static str,
        /// What failed below.
        #[source]
        source: rcgen::Error,
    },
    /// The system gives no random numbers.
    #[error("random bytes for {what}: found none, expected them of the system")]
    NoRandomness {
        /// What they were for.
        what: &'static str,
    },
    /// Certificates and key make no TLS configuration.
    #[error("tls configuration of {what} failed")]
    Tls {
        /// Whose configuration.
        what: &'static str,
        /// What failed below.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operator was not reached, or is not the one that is trusted.
    #[error(
        "enrolling at {address}: {doing} failed; check that an operator listens there, and that the trusted bundle is its own"
    )]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What was under way.
        doing: &'static str,
        /// What failed below.
        #[source]
        source: io::Error,
    },
    /// The operator did not answer in time.
    #[error("enrolling at {address}: no answer within {} s; try again, or another replica", after.as_secs())]
    Slow {
        /// Where.
        address: SocketAddr,
        /// How long was waited.
        after: Duration,
    },
    /// The operator answered, and gave no certificate.
    #[error("enrolling at {address}: found status {status}, expected 200: {reason}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// The status.
        status: u16,
        /// The operator's reason, one line.
        reason: String,
    },
    /// The operator's answer is no credentials.
    #[error(
        "enrolling at {address}: found {found}, expected {expected}; do both sides run the same version?"
    )]
    BadAnswer {
        /// Where.
        address: SocketAddr,
        /// What came.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl IdentityError {
    /// For `map_err` where a certificate is made.
    pub(crate) fn not_made(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::NotMade { what, source }
    }

    /// For `map_err` where a TLS configuration is made.
    pub(crate) fn tls<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Tls {
            what,
            source: Box::new(source),
        }
    }

    /// Whether another try with the same token, at this replica or another, may
    /// do better.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }
}
