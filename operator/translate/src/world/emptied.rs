//! Whether a public Service loses the activators that stood behind it, all at once.

use std::collections::BTreeSet;

use sluice_crds as crds;
use sluice_ir::ObjectKey;

use super::World;
use super::stores::key_of;
use crate::endpoints::is_public;

impl World {
    /// True of core Endpoints that leave a public Service without anybody, where it leads
    /// to nothing but activators now, and these are still there (`activators` is their
    /// Service). Serving never means that: it writes pods, or activators
    /// (`serverlessservice.go`, `reconcilePublicEndpoints`).
    #[must_use]
    pub fn loses_activators(&self, emptied: &crds::Endpoints, activators: &ObjectKey) -> bool {
        let key = key_of(&emptied.metadata);
        if ready(emptied).next().is_some() || !self.stores.services.get(&key).is_some_and(is_public)
        {
            return false;
        }
        let (Some(before), Some(activators)) = (
            self.stores.endpoints.get(&key),
            self.stores.endpoints.get(activators),
        ) else {
            return false;
        };
        let there: BTreeSet<&str> = ready(activators).collect();
        let mut before = ready(before).peekable();
        before.peek().is_some() && before.all(|address| there.contains(address))
    }
}

fn ready(endpoints: &crds::Endpoints) -> impl Iterator<Item = &str> {
    endpoints
        .subsets
        .iter()
        .flat_map(|subset| &subset.addresses)
        .map(|address| address.ip.as_str())
}
