//! Names of resources, and what can be read back from a name.
//!
//! | type | name | example |
//! |---|---|---|
//! | Cluster, ClusterLoadAssignment | `<namespace>/<service>/<port>` | `default/hello/80` |
//! | RouteConfiguration | `<side>/<namespace>/<ingress>` | `ext/default/hello` |
//! | ScopedRouteConfiguration | `<side>/<host>` | `ext/hello.example.com` |
//! | Secret | the host it is shown for | `hello.example.com` |
//! | Secret | roots that backends are trusted by | `sluice/backend-trust/…` |
//!
//! The table of an Ingress and side keeps its name for life, so a live scope is
//! never repointed but when a host changes hands; and then it is repointed, never
//! replaced: Envoy applies the removals and the additions of one response one
//! after the other, and between the two a worker answers 404 (up to milliseconds
//! where there are thousands of scopes).

use sluice_ir::{Host, ObjectKey, ServicePort, Side};

use sha2::{Digest, Sha256};

use crate::{Kind, ProbeKey};

/// The RouteConfiguration of the readiness listener, sent after all else.
pub const READINESS_TABLE: &str = "sluice/readiness";

/// The static cluster without endpoints that answers 503 for an unavailable share.
pub const UNAVAILABLE_CLUSTER: &str = "sluice/unavailable";

/// The static cluster of Envoy's own admin socket, for statistics.
pub const ADMIN_CLUSTER: &str = "sluice/admin";

/// The static cluster of the xDS server.
pub const XDS_CLUSTER: &str = "xds";

/// Name of the secret with the roots that backends are trusted by. A client chooses
/// what its handshake asks for, and an answer of the wrong kind is one that Envoy
/// refuses: so the name is one that only the operator and its gateways know, drawn
/// from the key that unlocks probes.
#[must_use]
pub(crate) fn backend_trust(probe_key: Option<&ProbeKey>) -> String {
    let mut hash = Sha256::new();
    hash.update(b"backend-trust/");
    hash.update(probe_key.map_or("", ProbeKey::as_str));
    let hash = hash.finalize();
    let hidden: String = hash.iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("{BACKEND_TRUST}/{hidden}")
}

/// What the names of [`backend_trust`] begin with; no host has a `/`.
const BACKEND_TRUST: &str = "sluice/backend-trust";

/// Listeners; constant for the life of a gateway.
pub const LISTENERS: [&str; 6] = [
    "external-http",
    "external-https",
    "internal-http",
    "internal-https",
    "readiness",
    "statistics",
];

/// Name of the Cluster and of the ClusterLoadAssignment of a Service port.
#[must_use]
pub fn cluster(service_port: &ServicePort) -> String {
    service_port.to_string()
}

/// Name of the table of one Ingress on one side.
#[must_use]
pub fn table(side: Side, ingress: &ObjectKey) -> String {
    format!("{}/{ingress}", side.prefix())
}

/// Name of the scope of a host, whichever Ingress has it.
#[must_use]
pub fn scope(side: Side, host: &Host) -> String {
    format!("{}/{host}", side.prefix())
}

/// Name of the scope that keeps a table subscribed and warm before a host moves
/// to it. `!` can stand in no host.
#[must_use]
pub fn anchor_scope(table: &str) -> String {
    format!("{table}/!")
}

/// Key of a scope among all scopes of one gateway, read from the scope's name:
/// side and host. Every anchor has its own key.
#[must_use]
pub fn scope_key(scope: &str) -> Option<String> {
    let (table, host) = scope.rsplit_once('/')?;
    let side = table.split('/').next()?;
    if host == "!" {
        Some(format!("{side}|!{table}"))
    } else {
        Some(format!("{side}|{host}"))
    }
}

/// The Ingress that a table belongs to; for a cluster or an assignment, its
/// namespace with an empty name; `None` for listeners, scopes (whose version
/// names their table, see [`crate::Content::leading_to`]), secrets and reserved
/// names.
#[must_use]
pub fn owner(kind: Kind, name: &str) -> Option<ObjectKey> {
    let mut parts = name.split('/');
    match kind {
        Kind::RouteTable => {
            let side = parts.next()?;
            if !Side::ALL.iter().any(|s| s.prefix() == side) {
                return None;
            }
            Some(ObjectKey::new(parts.next()?, parts.next()?))
        }
        Kind::Cluster | Kind::Endpoints => Some(ObjectKey::new(parts.next()?, "")),
        Kind::Listener | Kind::Scope | Kind::Secret => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let ingress = ObjectKey::new("default", "hello");
        let host = Host::parse("hello.example.com").unwrap();
        let name = scope(Side::External, &host);
        assert_eq!(name, "ext/hello.example.com");
        assert_eq!(scope_key(&name).unwrap(), "ext|hello.example.com");
        assert_eq!(owner(Kind::Scope, &name), None);
        let table = table(Side::Internal, &ingress);
        assert_eq!(owner(Kind::RouteTable, &table), Some(ingress));
        assert_eq!(owner(Kind::RouteTable, READINESS_TABLE), None);
        let anchor = anchor_scope(&table);
        assert_eq!(scope_key(&anchor).unwrap(), "int|!int/default/hello");
    }
}
