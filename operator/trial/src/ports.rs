//! Loopback ports that stay ours until Envoy has them.

use std::net::SocketAddr;

use sluice_envoy::Edge;
use tokio::net::TcpSocket;

use crate::TrialError;

/// Ports that are bound but not listened on. Envoy listens with `SO_REUSEPORT`,
/// and so may join; a connection goes to listening sockets only; and the kernel
/// gives a bound port to nobody else. So no other process can come between the
/// choice of a port and its use.
#[derive(Debug)]
pub struct Ports {
    sockets: Vec<TcpSocket>,
}

impl Ports {
    /// Takes free ports for all listeners of a gateway.
    ///
    /// # Errors
    /// No port to be had.
    pub fn take() -> Result<(Self, Edge), TrialError> {
        let mut ports = Self {
            sockets: Vec::new(),
        };
        let mut edge = Edge::at(std::net::Ipv4Addr::LOCALHOST.into());
        for address in [
            &mut edge.external_http,
            &mut edge.external_https,
            &mut edge.internal_http,
            &mut edge.internal_https,
            &mut edge.readiness,
            &mut edge.statistics,
        ] {
            let action = TrialError::io("take a free loopback port");
            *address = ports.one().map_err(action)?;
        }
        Ok((ports, edge))
    }

    fn one(&mut self) -> std::io::Result<SocketAddr> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = socket.local_addr()?;
        self.sockets.push(socket);
        Ok(address)
    }
}
