//! Whether the addresses that Envoy is to serve are free.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::error::GatewayError;
use crate::failure::BindFailure;

/// A listener that Envoy is to open, by its name and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The listener's name, for the message.
    pub listener: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Fails if one of the addresses cannot be listened on.
///
/// This must be asked beforehand, for Envoy does not notice: it listens with
/// `SO_REUSEPORT`, so a second Envoy of the same user on the same port starts
/// without a word and the kernel deals the connections out to both (observed
/// with 1.40.0). Nothing is held: a port may still be taken between this call
/// and Envoy's own.
///
/// # Errors
/// [`GatewayError::AddressInUse`], or [`GatewayError::Bind`] for an address
/// that this machine does not have or a port that needs a privilege.
pub fn ensure_free(listens: &[ListenAddress]) -> Result<(), GatewayError> {
    for ListenAddress { listener, address } in listens {
        let Err(error) = TcpListener::bind(address) else {
            continue;
        };
        if error.kind() == io::ErrorKind::AddrInUse {
            return Err(GatewayError::AddressInUse {
                listener: listener.clone(),
                address: *address,
            });
        }
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
            io::ErrorKind::AddrNotAvailable => "Cannot assign requested address".to_owned(),
            _ => error.to_string(),
        };
        return Err(GatewayError::Bind {
            failure: BindFailure {
                listener: listener.clone(),
                address: address.to_string(),
                reason,
            },
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_listener_and_a_freed_one_is_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let listens = [ListenAddress {
            listener: "external-http".to_owned(),
            address,
        }];
        let error = ensure_free(&listens).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "listener external-http: address {address} is in use by another process; end that process or choose another port"
            )
        );
        drop(taken);
        ensure_free(&listens).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_told_apart() {
        let listens = [ListenAddress {
            listener: "external-http".to_owned(),
            // TEST-NET-1 of RFC 5737: nobody's address.
            address: "192.0.2.1:8080".parse().unwrap(),
        }];
        let error = ensure_free(&listens).unwrap_err().to_string();
        assert!(
            error.contains("this machine does not have that address"),
            "{error}"
        );
    }
}
