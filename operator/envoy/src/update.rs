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

    /// Takes over what resources became; `None`: no more.
    pub(crate) fn take(&mut self, became: BTreeMap<(Kind, String), Option<Resource>>) {
        for ((kind, name), resource) in became {
            match resource {
                Some(resource) => self.upserts.push(resource),
                None => self.removals.push((kind, name)),
            }
        }
    }
}
