//! What one change of the world changes in the set of resources.

use std::collections::BTreeMap;

use sluice_ir::ObjectKey;

use crate::{Kind, Resource};

/// A change to publish; applied as a whole, under one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// New or changed resources.
    pub upserts: Vec<Resource>,
    /// Resources that are no more.
    pub removals: Vec<(Kind, String)>,
    /// Ingresses that became held (`true`: refused, and what gateways hold of
    /// them from before this process is left alone: their tables by
    /// [`crate::name::owner`], the scopes that lead to these, and the clusters
    /// of their namespace) or are held
    /// no more (`false`).
    pub held: BTreeMap<ObjectKey, bool>,
}

impl Update {
    /// Whether there is nothing to publish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.removals.is_empty() && self.held.is_empty()
    }
}
