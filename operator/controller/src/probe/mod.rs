//! Whether gateways serve what was sent to them.
//!
//! *Reads* targets: a gateway, a listener, a host, and the hash that its
//! generation has. *Gives* a yes, or the first target that does not serve it.
//! *Never* asks a backend: the secret header of a probe makes the gateway
//! answer by itself.
//!
//! Start at [`Prober::confirm`].

mod error;
mod exchange;
#[cfg(test)]
mod tests;
mod trust;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use http::HeaderValue;
use sluice_ir::{Host, Side};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub use error::{Found, ProbeError, Unconfirmed};

/// Connections per target that meet all of Envoy's workers in practice: the
/// kernel spreads connections over them by their ports.
pub const DEFAULT_WORKERS: u32 = 4;
/// One connection, from its first packet to the head of the answer.
const BOUND: Duration = Duration::from_secs(1);
/// Connections at the same time over all calls.
const IN_FLIGHT: usize = 32;

/// One listener of one gateway, and what it must serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The gateway's address.
    pub gateway: IpAddr,
    /// Which of its listeners.
    pub side: Side,
    /// Whether the one with TLS.
    pub tls: bool,
    /// The host to ask for.
    pub host: Host,
    /// What it must answer in `k-network-hash`.
    pub hash: String,
}

/// Where gateways listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// External, plain.
    pub external_http: u16,
    /// External, TLS.
    pub external_https: u16,
    /// Internal, plain.
    pub internal_http: u16,
    /// Internal, TLS.
    pub internal_https: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            external_http: 8080,
            external_https: 8443,
            internal_http: 8081,
            internal_https: 8444,
        }
    }
}

impl Ports {
    fn of(self, side: Side, tls: bool) -> u16 {
        match (side, tls) {
            (Side::External, false) => self.external_http,
            (Side::External, true) => self.external_https,
            (Side::Internal, false) => self.internal_http,
            (Side::Internal, true) => self.internal_https,
        }
    }
}

/// Asks gateways over fresh connections. Clones share the bound on those.
#[derive(Clone)]
pub struct Prober {
    ports: Ports,
    key: HeaderValue,
    workers: u32,
    tls: TlsConnector,
    in_flight: Arc<Semaphore>,
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober")
            .field("ports", &self.ports)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Prober {
    /// A prober with the secret by which gateways answer themselves, and the
    /// number of connections that each target must answer on, at least one.
    ///
    /// # Errors
    /// [`ProbeError`] where the key cannot stand in a header.
    pub fn new(ports: Ports, key: String, workers: u32) -> Result<Self, ProbeError> {
        let length = key.len();
        let key = HeaderValue::try_from(key)
            .ok()
            .filter(|key| !key.is_empty());
        let mut key = key.ok_or(ProbeError::Key { length })?;
        key.set_sensitive(true);
        Ok(Self {
            ports,
            key,
            workers: workers.max(1),
            tls: trust::connector()?,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
        })
    }

    /// Whether every target answers with its hash on every connection. Without
    /// targets there is nothing to confirm: that there is a gateway at all, and
    /// a host, is the caller's to see to.
    ///
    /// # Errors
    /// [`Unconfirmed`] for the first target in the given order that does not;
    /// those behind it are then no longer awaited.
    pub async fn confirm(&self, targets: &[Target]) -> Result<(), Unconfirmed> {
        // One connection of each target, then the next of each: a gateway that
        // is behind is found early.
        let connections: Vec<Target> = (0..self.workers).flat_map(|_| targets.to_vec()).collect();
        stream::iter(connections)
            .map(|target| self.clone().connect(target))
            .buffered(IN_FLIGHT)
            .try_collect()
            .await
    }

    async fn connect(self, target: Target) -> Result<(), Unconfirmed> {
        // Never closed, hence never refused. The bound on time starts behind it.
        let _permit = self.in_flight.acquire().await;
        let port = self.ports.of(target.side, target.tls);
        let address = SocketAddr::new(target.gateway, port);
        let tls = target.tls.then_some(&self.tls);
        let asking = exchange::ask(address, tls, &target.host, &self.key);
        let found = match timeout(BOUND, asking).await {
            Ok(Ok(answer)) => answer.judge(&target.hash),
            Ok(Err(found)) => Err(found),
            Err(_) => Err(Found::Slow { bound: BOUND }),
        };
        found.map_err(|found| Unconfirmed {
            gateway: address,
            side: target.side,
            tls: target.tls,
            host: target.host,
            expected: target.hash,
            found,
        })
    }
}
