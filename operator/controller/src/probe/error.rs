//! What a probe found that it should not.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use sluice_ir::{Host, Side};

/// Why there can be no prober.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The key cannot be sent.
    #[error(
        "probe key: found {length} bytes that no header can hold, expected printable ascii, at least one character; make a new key"
    )]
    Key {
        /// Its length, all that may be told of it.
        length: usize,
    },
    /// The cryptography offers no version of TLS.
    #[error(
        "probe: no tls to probe with ({0}); expected TLS 1.2 or 1.3 of the cryptography built in"
    )]
    Tls(rustls::Error),
}

/// The target that was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "gateway {gateway}, {side} {scheme}, host {host}: found {found}, expected status 200 with k-network-hash {expected}",
    scheme = self.scheme()
)]
pub struct Unconfirmed {
    /// The address and port that were asked.
    pub gateway: SocketAddr,
    /// The listener's side.
    pub side: Side,
    /// Whether by TLS.
    pub tls: bool,
    /// The host that was asked for.
    pub host: Host,
    /// The hash that should have come.
    pub expected: String,
    /// What came.
    pub found: Found,
}

impl Unconfirmed {
    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// What came instead of the expected answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No connection.
    Unreachable(String),
    /// A connection, but no TLS on it.
    Handshake(String),
    /// No HTTP on the connection.
    NotHttp(String),
    /// No answer in time.
    Slow {
        /// How long it was awaited.
        bound: Duration,
    },
    /// Another status.
    Status(u16),
    /// Another hash, or none.
    Hash(Option<String>),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(detail) => write!(f, "no connection ({detail})"),
            Self::Handshake(detail) => write!(f, "no tls handshake ({detail})"),
            Self::NotHttp(detail) => write!(f, "no http answer ({detail})"),
            Self::Slow { bound } => write!(f, "no answer within {bound:?}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Hash(None) => f.write_str("no k-network-hash"),
            Self::Hash(Some(hash)) => write!(f, "k-network-hash {hash}"),
        }
    }
}
