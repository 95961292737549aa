//! A named, encoded, content-versioned resource, as the xDS server sends it.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The resource types that Sluice serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// SRDS.
    Scope,
    /// RDS.
    RouteTable,
    /// SDS.
    Secret,
}

impl Kind {
    /// All types, in the order in which a change is sent: what is referred to
    /// before what refers to it.
    pub const ALL: [Kind; 6] = [
        Kind::Cluster,
        Kind::Endpoints,
        Kind::Listener,
        Kind::Scope,
        Kind::RouteTable,
        Kind::Secret,
    ];

    /// The `type_url` of the protocol.
    #[must_use]
    pub fn type_url(self) -> &'static str {
        match self {
            Kind::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Kind::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Kind::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Kind::Scope => "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
            Kind::RouteTable => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Kind::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// The type of a `type_url`, if Sluice serves it.
    #[must_use]
    pub fn from_type_url(type_url: &str) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.type_url() == type_url)
    }

    /// The short name of the discovery service, for logs and metric labels.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Kind::Cluster => "CDS",
            Kind::Endpoints => "EDS",
            Kind::Listener => "LDS",
            Kind::Scope => "SRDS",
            Kind::RouteTable => "RDS",
            Kind::Secret => "SDS",
        }
    }

    /// Whether Envoy asks for all resources of this type (an empty subscription)
    /// rather than for names.
    #[must_use]
    pub fn is_wildcard(self) -> bool {
        matches!(self, Kind::Cluster | Kind::Listener | Kind::Scope)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service())
    }
}

/// One encoding of a resource. `Debug` shows version and length, never bytes:
/// they may be a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// First 16 hex digits of the SHA-256 of the bytes: equal content has equal
    /// versions on every replica and across restarts. More is said before it
    /// ([`Content::standby`]) or behind it ([`Content::leading_to`]).
    pub version: String,
    /// The encoded message (the value of the `Any`), shared by all streams.
    pub body: Bytes,
}

impl Content {
    /// Versions an encoded message.
    pub fn new(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let digest = Sha256::digest(&body);
        let version = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
        Self { version, body }
    }

    /// Content of a scope. Its version ends in the table that it leads to, so that
    /// a server that starts anew learns from the versions that a gateway holds
    /// whose its scopes are.
    pub fn leading_to(table: &str, body: impl Into<Bytes>) -> Self {
        let mut content = Self::new(body);
        content.version.push(LEADS_TO);
        content.version.push_str(table);
        content
    }

    /// The table that a scope of this version leads to.
    #[must_use]
    pub fn table_of(version: &str) -> Option<&str> {
        version.split_once(LEADS_TO).map(|(_, table)| table)
    }

    /// Content that stands in for a table that cannot be sent; told apart from
    /// real content by its version, which starts with `standby-`.
    pub fn standby(body: impl Into<Bytes>) -> Self {
        let mut content = Self::new(body);
        content.version.insert_str(0, STANDBY);
        content
    }
}

/// What stands between the hash and the table in the version of a scope; it can
/// stand in neither.
const LEADS_TO: char = '@';

/// What the version of stand-in content starts with.
pub const STANDBY: &str = "standby-";

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.version, self.body.len())
    }
}

/// One resource, with what the server must know to send it safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its type.
    pub kind: Kind,
    /// Its name, unique within the type; see [`crate::name`].
    pub name: String,
    /// What to send. `None` holds: a gateway that has any version of it keeps
    /// that version (last good), one that has none gets `standby`.
    pub content: Option<Content>,
    /// What a gateway gets that holds nothing under this name when `content` is
    /// absent or was refused by a gateway.
    pub standby: Option<Content>,
    /// Scopes: the RouteConfiguration that must be held before the scope may
    /// move to it (a scope repointed to an absent table is a window of 404s).
    pub table: Option<String>,
    /// Scopes: the key, unique among all scopes of a gateway (a second scope
    /// with the same key is refused together with its whole response).
    pub key: Option<String>,
    /// Fingerprint of which features the content uses, not of their values: a
    /// shape that no gateway has accepted yet goes to one gateway first.
    pub shape: u64,
}
