//! The few numbers of the protocol that are ours to choose.

use std::time::Duration;

/// How the server behaves towards every gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a cluster outlives the last route that named it: requests that
    /// a worker matched with the old table still need it.
    pub cluster_grace: Duration,
    /// How long other gateways wait for the first one to accept a shape that
    /// none has accepted yet.
    pub canary_wait: Duration,
    /// Resources in one response, so that one refusal concerns few.
    pub response_resources: usize,
    /// Bytes of resource bodies in one response; a larger single resource goes
    /// alone. gRPC receivers commonly stop at 4 MiB.
    pub response_bytes: usize,
    /// Spellings of one host (upper and lower case, trailing dot) for which a
    /// gateway is given the certificate: it keeps 26 KB for each, for ever.
    pub spellings: usize,
    /// Bytes of one request. The largest is a reconnect that lists everything
    /// held: about 60 bytes a name.
    pub request_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_grace: Duration::from_secs(5),
            canary_wait: Duration::from_secs(2),
            response_resources: 500,
            response_bytes: 2 << 20,
            spellings: 4,
            request_bytes: 64 << 20,
        }
    }
}
