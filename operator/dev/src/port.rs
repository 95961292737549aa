//! The ports of the gateway: chosen, checked to be free, and named by their flag.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::error::DevError;
use crate::event::Listen;

/// The port of each listener; 0 has a free one picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Plain HTTP, as from outside the cluster.
    pub http: u16,
    /// HTTPS, as from outside the cluster.
    pub https: u16,
    /// Plain HTTP, as from inside the cluster.
    pub internal_http: u16,
    /// HTTPS, as from inside the cluster.
    pub internal_https: u16,
    /// `GET /ready`.
    pub readiness: u16,
    /// `GET /stats/prometheus`.
    pub statistics: u16,
}

impl Default for Ports {
    /// Those of the gateway's pods, but for statistics: 9090 is where a
    /// Prometheus on a laptop listens.
    fn default() -> Self {
        Self {
            http: 8080,
            https: 8443,
            internal_http: 8081,
            internal_https: 8444,
            readiness: 8090,
            statistics: 8091,
        }
    }
}

impl Ports {
    /// Free ones for all.
    #[must_use]
    pub fn any() -> Self {
        Self {
            http: 0,
            https: 0,
            internal_http: 0,
            internal_https: 0,
            readiness: 0,
            statistics: 0,
        }
    }

    /// Each port with its flag, in the order of [`Listen`]'s fields.
    fn by_flag(self) -> [(&'static str, u16); 6] {
        [
            ("--http-port", self.http),
            ("--https-port", self.https),
            ("--internal-http-port", self.internal_http),
            ("--internal-https-port", self.internal_https),
            ("--readiness-port", self.readiness),
            ("--statistics-port", self.statistics),
        ]
    }

    /// Takes every port and gives it back at once: Envoy itself would share a
    /// port that another Envoy has, without a word.
    pub(crate) fn choose(self, bind: IpAddr) -> Result<Listen, DevError> {
        let ports = self.by_flag();
        for (index, (flag, port)) in ports.iter().enumerate() {
            let twin = ports.iter().take(index).find(|(_, other)| other == port);
            if let Some((other, _)) = twin
                && *port != 0
            {
                return Err(DevError::PortTwice {
                    port: *port,
                    flag,
                    other,
                });
            }
        }
        // All are held until each has one, so that no free port is picked twice;
        // those that were asked for first, so that none of them is picked.
        let mut held: [Option<TcpListener>; 6] = Default::default();
        for asked in [true, false] {
            for ((flag, port), slot) in ports.iter().zip(&mut held) {
                if (*port != 0) == asked {
                    let address = SocketAddr::new(bind, *port);
                    let listener = TcpListener::bind(address)
                        .map_err(|error| listen_error(flag, address, error))?;
                    *slot = Some(listener);
                }
            }
        }
        let mut addresses = [SocketAddr::new(bind, 0); 6];
        for (((flag, port), slot), address) in ports.iter().zip(&held).zip(&mut addresses) {
            let asked = SocketAddr::new(bind, *port);
            *address = match slot.as_ref().map(TcpListener::local_addr) {
                Some(Ok(found)) => found,
                Some(Err(error)) => return Err(listen_error(flag, asked, error)),
                None => asked,
            };
        }
        let [
            http,
            https,
            internal_http,
            internal_https,
            readiness,
            statistics,
        ] = addresses;
        Ok(Listen {
            http,
            https,
            internal_http,
            internal_https,
            readiness,
            statistics,
        })
    }
}

fn listen_error(flag: &'static str, address: SocketAddr, error: io::Error) -> DevError {
    match error.kind() {
        io::ErrorKind::AddrInUse => DevError::PortInUse { address, flag },
        _ => DevError::Listen {
            address,
            flag,
            source: error,
        },
    }
}

impl Listen {
    /// Each address with the flag of its port and the name of its listener.
    pub(crate) fn by_name(&self) -> [(&'static str, &'static str, SocketAddr); 6] {
        [
            ("external-http", "--http-port", self.http),
            ("external-https", "--https-port", self.https),
            ("internal-http", "--internal-http-port", self.internal_http),
            (
                "internal-https",
                "--internal-https-port",
                self.internal_https,
            ),
            ("readiness", "--readiness-port", self.readiness),
            ("statistics", "--statistics-port", self.statistics),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn free_ports_are_picked_and_differ() {
        let listen = Ports::any().choose(LOOPBACK).unwrap();
        let ports: BTreeSet<u16> = listen.by_name().iter().map(|(_, _, a)| a.port()).collect();
        assert_eq!(ports.len(), 6);
        assert!(!ports.contains(&0));
    }

    #[test]
    fn a_port_in_use_is_named_with_its_flag_and_what_to_do() {
        let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = Ports {
            internal_http: port,
            ..Ports::any()
        };
        let words = ports.choose(LOOPBACK).unwrap_err().to_string();
        assert_eq!(
            words,
            format!(
                "127.0.0.1:{port} is in use by another process; end that process, or choose \
                 another port by --internal-http-port (0 picks a free one)"
            )
        );
    }

    #[test]
    fn one_port_for_two_listeners_is_refused() {
        let ports = Ports {
            http: 18080,
            readiness: 18080,
            ..Ports::any()
        };
        assert_eq!(
            ports.choose(LOOPBACK).unwrap_err().to_string(),
            "--readiness-port and --http-port are both 18080; each listener needs its own port"
        );
    }
}
