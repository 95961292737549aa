//! What the gateways hold and said, for those who wait for it.

use std::collections::BTreeMap;
use std::time::Instant;

use sluice_envoy::Kind;

use crate::{Quarantined, Revision, StreamId};

/// All connected gateways, and what was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Connected gateways by stream. One gateway has one stream, but for the
    /// moments in which a broken one has not been noticed.
    pub nodes: BTreeMap<StreamId, Node>,
    /// What of the world as published now is not sent since a gateway refused it.
    pub quarantined: Vec<Quarantined>,
}

/// One connected gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `node.id` of its first request.
    pub id: String,
    /// The version of its Envoy, `1.40.0`, if it said one.
    pub envoy: Option<String>,
    /// The newest revision of which this gateway acknowledged (or refused) all
    /// that was due to it. `None` until it asked for clusters, listeners and
    /// scopes. Never goes back while the stream lives.
    pub acked: Option<Revision>,
    /// Whether it holds the readiness table: it may be getting requests.
    pub serving: bool,
    /// By type, what passed and what is there.
    pub kinds: BTreeMap<Kind, Traffic>,
}

/// What passed between the server and one gateway for one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Resources it holds.
    pub held: usize,
    /// Resources that it is yet to be sent or to acknowledge.
    pub due: usize,
    /// Resources sent on this stream.
    pub sent: u64,
    /// Bytes of the bodies of these.
    pub bytes: u64,
    /// Removals sent on this stream.
    pub removed: u64,
    /// Responses acknowledged.
    pub acks: u64,
    /// Responses refused.
    pub nacks: u64,
    /// When a response was last acknowledged.
    pub last_ack: Option<Instant>,
}

impl Fleet {
    /// Whether there is a gateway, and every one acknowledged this revision.
    #[must_use]
    pub fn has_acked(&self, revision: Revision) -> bool {
        !self.nodes.is_empty()
            && self
                .nodes
                .values()
                .all(|node| node.acked.is_some_and(|acked| acked >= revision))
    }
}
