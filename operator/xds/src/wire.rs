//! The messages of `envoy.service.discovery.v3` that delta ADS exchanges, cut to
//! the fields in use (protobuf skips the others).
//!
//! They are written out here because a generated `Any` owns its bytes: this one
//! shares them, so that a resource encoded once is copied only into the
//! transport's buffer, whatever the number of gateways.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;

/// `DeltaDiscoveryRequest`: a subscription, an ACK, a NACK, or all at once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaDiscoveryRequest {
    /// Who asks; only in the first request of a stream.
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    /// Which type it concerns.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names asked for; `*` for all; empty in a type's first request means all.
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    /// Names that are of no interest any more.
    #[prost(string, repeated, tag = "4")]
    pub resource_names_unsubscribe: Vec<String>,
    /// What is held from before this stream: name to version; only in a type's
    /// first request.
    #[prost(map = "string, string", tag = "5")]
    pub initial_resource_versions: HashMap<String, String>,
    /// The response that is acknowledged or refused; empty if none.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Present in a NACK.
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<Status>,
}

/// `DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaDiscoveryResponse {
    /// The revision of the world; for people only.
    #[prost(string, tag = "1")]
    pub system_version_info: String,
    /// New or changed resources.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
    /// Which type it concerns.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the ACK or NACK will refer to.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Names that are no more.
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
}

/// `Resource`: a named and versioned `Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    /// Hash of the content.
    #[prost(string, tag = "1")]
    pub version: String,
    /// The encoded message.
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Any>,
    /// Name, unique within the type.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// `google.protobuf.Any` whose value is shared.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// The type of the value.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `envoy.config.core.v3.Node`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// The gateway's name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The fleet it belongs to.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// Which Envoy it is.
    #[prost(message, optional, tag = "8")]
    pub user_agent_build_version: Option<BuildVersion>,
}

/// `envoy.config.core.v3.BuildVersion`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildVersion {
    /// Its number.
    #[prost(message, optional, tag = "1")]
    pub version: Option<SemanticVersion>,
}

/// `envoy.type.v3.SemanticVersion`, by itself `1.40.0`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct SemanticVersion {
    /// `1`.
    #[prost(uint32, tag = "1")]
    pub major_number: u32,
    /// `40`.
    #[prost(uint32, tag = "2")]
    pub minor_number: u32,
    /// `0`.
    #[prost(uint32, tag = "3")]
    pub patch: u32,
}

impl fmt::Display for SemanticVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}",
            self.major_number, self.minor_number, self.patch
        )
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// gRPC code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people. May quote a resource, so for secrets it is never kept.
    #[prost(string, tag = "2")]
    pub message: String,
}
