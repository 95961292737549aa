//! Where traffic goes: clusters and their endpoints.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::ServicePort;

/// One upstream, a function of the Service port and of cluster-wide
/// configuration alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// How to speak to the endpoints.
    pub protocol: Protocol,
    /// How to find them.
    pub discovery: Discovery,
    /// What protects the connection to them.
    #[serde(default, skip_serializing_if = "Transport::is_plain")]
    pub transport: Transport,
}

/// What protects the connections to a cluster's endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Nothing.
    #[default]
    Plain,
    /// TLS 1.3 as Knative's `system-internal-tls` has it: the endpoint shows a
    /// certificate for the activator or for its own namespace (`kn-routing`,
    /// `kn-user-<namespace>`), from one of the roots that gateways were given.
    Tls,
}

impl Transport {
    /// Whether nothing protects the connection.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Transport::Plain
    }
}

/// The HTTP version spoken to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge: `appProtocol: kubernetes.io/h2c`, or a port
    /// named `http2…`, `h2c…` or `grpc…`.
    Http2,
}

/// How the endpoints of a cluster are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// By EDS: [`Endpoints`] of the same Service port are published.
    Endpoints,
    /// By DNS, for a Service of type ExternalName.
    Dns {
        /// `spec.externalName`.
        name: String,
        /// The port to dial.
        port: NonZeroU16,
    },
}

/// The ready addresses of one Service port; may be empty, then it answers 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The Service port they belong to.
    pub service_port: ServicePort,
    /// Ready addresses, deduplicated and sorted.
    pub addresses: BTreeSet<Address>,
}

/// An endpoint address: an IP, never a name (EDS refuses names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// The endpoint's IP.
    pub ip: IpAddr,
    /// The endpoint's port, already resolved from a named targetPort.
    pub port: NonZeroU16,
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        SocketAddr::new(address.ip, address.port.get())
    }
}
