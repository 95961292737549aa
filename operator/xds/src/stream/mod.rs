//! One stream.
use std::time::Instant;

use crate::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use crate::{Node, Store, StreamId};

/// One stream of one gateway.
pub struct Stream {
    id: StreamId,
}

impl Stream {
    /// Opens a stream that holds nothing and asked for nothing.
    pub fn open(store: &mut Store) -> Self {
        Self {
            id: store.open_stream(),
        }
    }

    /// Its name in the store.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Takes a request.
    pub fn on_request(&mut self, _request: DeltaDiscoveryRequest, _store: &mut Store) {}

    /// What to send now.
    pub fn poll(&mut self, _store: &mut Store, _now: Instant) -> Vec<DeltaDiscoveryResponse> {
        Vec::new()
    }

    /// When to poll again though nothing happened.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Instant> {
        None
    }

    /// What the gateway holds.
    #[must_use]
    pub fn node(&self) -> Node {
        Node::default()
    }

    /// Ends the stream.
    pub fn close(&mut self, store: &mut Store) {
        store.close_stream(self.id);
    }
}
