//! What an operator may choose about the edge of a gateway.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where a gateway listens and what it grants its clients. Constant for the
/// life of a gateway: a changed listener cuts WebSockets at the end of the drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Plain HTTP from outside the cluster.
    pub external_http: SocketAddr,
    /// HTTPS from outside the cluster.
    pub external_https: SocketAddr,
    /// Plain HTTP from inside the cluster.
    pub internal_http: SocketAddr,
    /// HTTPS from inside the cluster.
    pub internal_https: SocketAddr,
    /// `GET /ready`: 200 once this gateway holds all that it must serve.
    pub readiness: SocketAddr,
    /// `GET /stats/prometheus`.
    pub statistics: SocketAddr,
    /// The port at which clients reach `external_https`; a redirect names it
    /// unless it is 443.
    pub https_port: u16,
    /// How many balancers in front of the external listeners append to
    /// `X-Forwarded-For`. 0: the peer is the client and its own
    /// `X-Forwarded-*` count for nothing.
    pub trusted_hops: u32,
    /// Concurrent streams that one HTTP/2 client connection may open.
    pub client_streams: u32,
    /// One JSON line per request to standard output.
    pub access_log: bool,
    /// Whether answers carry `server: envoy` where the backend named no server.
    /// Off, the header of the backend passes, or none.
    pub server_header: bool,
    /// What unlocks the gateway's own answer to a probe; `None`: nothing does,
    /// and probes are answered by backends.
    pub probe_key: Option<ProbeKey>,
}

/// The value of the header `x-sluice-probe` on which a gateway says itself which
/// generation it serves, before any route is tried: so a probe tells of the route
/// whatever the backend does. Equal for all gateways and replicas of an operator,
/// since it stands in every table. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ProbeKey(String);

impl ProbeKey {
    /// A key; it goes into a header as it is.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProbeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbeKey(…)")
    }
}

impl Edge {
    /// All listeners on one address, at the ports of the gateway's Services.
    #[must_use]
    pub fn at(ip: IpAddr) -> Self {
        let port = |port| SocketAddr::new(ip, port);
        Self {
            external_http: port(8080),
            external_https: port(8443),
            internal_http: port(8081),
            internal_https: port(8444),
            readiness: port(8090),
            statistics: port(9090),
            https_port: 443,
            trusted_hops: 0,
            client_streams: 1024,
            access_log: false,
            server_header: false,
            probe_key: None,
        }
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_key_never_shows_itself() {
        let edge = Edge {
            probe_key: Some(ProbeKey::new("unlock-me")),
            ..Edge::default()
        };
        assert!(!format!("{edge:?}").contains("unlock-me"));
    }
}
