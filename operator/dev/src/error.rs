//! What keeps `sluice dev` from running at all.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use sluice_envoy::EnvoyError;
use sluice_gateway::{BindFailure, GatewayError};
use sluice_xds::XdsError;

/// Why [`crate::run`] ended before it was told to. What is wrong with a
/// manifest is never among these: that is a [`crate::Fault`].
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The folder is not there, or cannot be listed.
    #[error("folder {}: {source}; give a folder of Knative manifests", path.display())]
    Folder {
        /// The folder as given.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A file was named where a folder is meant.
    #[error(
        "folder {}: found a file, expected a folder of Knative manifests; name the folder that holds it",
        path.display()
    )]
    NotAFolder {
        /// The path as given.
        path: PathBuf,
    },
    /// Another process listens on a port.
    #[error(
        "{address} is in use by another process; end that process, or choose another port by {flag} (0 picks a free one)"
    )]
    PortInUse {
        /// Where.
        address: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
    },
    /// Two listeners were given one port.
    #[error("{flag} and {other} are both {port}; each listener needs its own port")]
    PortTwice {
        /// The port.
        port: u16,
        /// One flag.
        flag: &'static str,
        /// The other flag.
        other: &'static str,
    },
    /// An address cannot be listened on.
    #[error("{address}: {source}; choose another address by --bind, or another port by {flag}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Envoy lost a port between the check and its own attempt.
    #[error("{failure}; see {flag}")]
    Bind {
        /// Envoy's words.
        failure: BindFailure,
        /// The flag that chooses the port.
        flag: &'static str,
    },
    /// No Envoy could be found, fetched or started.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The bootstrap could not be built.
    #[error("building the bootstrap: {0}")]
    Bootstrap(#[from] EnvoyError),
    /// The socket on which Envoy gets its configuration could not be opened.
    #[error("opening the xDS socket {}: {source}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The xDS server ended.
    #[error("serving xDS: {0}")]
    Xds(#[from] XdsError),
    /// The part that reads files or serves xDS broke off.
    #[error("{part} broke off unexpectedly; this is a fault of sluice, please report it")]
    BrokeOff {
        /// Which part.
        part: &'static str,
    },
}
