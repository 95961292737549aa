//! What an Envoy is started with: who it is, where its configuration comes
//! from, and what it may consume.

use std::path::PathBuf;

use serde_json::Value;

use crate::EnvoyError;

/// The facts of one gateway that its bootstrap states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// `node.id`: unique among the gateways of one operator.
    pub node: String,
    /// `node.cluster`: the fleet.
    pub cluster: String,
    /// Where the xDS server answers.
    pub xds: XdsAddress,
    /// Unix socket of the admin interface.
    pub admin: PathBuf,
    /// Bytes of heap at which the gateway begins to refuse new work, if bounded.
    pub heap_limit: Option<u64>,
    /// Client connections that the gateway holds at most, over all its
    /// listeners but readiness and statistics.
    pub connection_limit: u32,
}

/// Where the xDS server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XdsAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host name or IP, and a port.
    Tcp(String, u16),
}

/// The bootstrap in the JSON that `envoy --config-path` reads (file name ending
/// in `.json`).
///
/// # Errors
/// [`EnvoyError`] only where the built-in descriptors are damaged.
pub fn bootstrap(bootstrap: &Bootstrap) -> Result<Value, EnvoyError> {
    let _ = bootstrap;
    Ok(Value::Null)
}
