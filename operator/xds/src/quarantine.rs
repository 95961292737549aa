//! Versions that a gateway refused on their own.

use std::collections::{BTreeMap, VecDeque};

use sluice_envoy::Kind;

/// How many refused versions are remembered. Beyond it the oldest is forgotten,
/// and would be refused, alone, once more.
const REMEMBERED: usize = 4096;

/// A version that a gateway refused when it was sent alone; it is never sent
/// again, to any gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its type.
    pub kind: Kind,
    /// Its name in the store.
    pub name: String,
    /// The refused version.
    pub version: String,
    /// The gateway that refused it.
    pub node: String,
    /// The gateway's words; for a secret always empty, since they may quote it.
    pub detail: String,
}

/// The refused versions of the whole fleet.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    refused: BTreeMap<(Kind, String), Vec<Quarantined>>,
    order: VecDeque<(Kind, String, String)>,
}

impl Quarantine {
    /// Whether any version of this name was refused.
    pub(crate) fn names(&self, kind: Kind, name: &str) -> bool {
        !self.refused.is_empty() && self.refused.contains_key(&(kind, name.to_owned()))
    }

    pub(crate) fn contains(&self, kind: Kind, name: &str, version: &str) -> bool {
        !self.refused.is_empty()
            && self
                .refused
                .get(&(kind, name.to_owned()))
                .is_some_and(|versions| versions.iter().any(|q| q.version == version))
    }

    /// Remembers a refusal; `false` if it was known.
    pub(crate) fn insert(&mut self, refusal: Quarantined) -> bool {
        if self.contains(refusal.kind, &refusal.name, &refusal.version) {
            return false;
        }
        let key = (refusal.kind, refusal.name.clone());
        self.order
            .push_back((refusal.kind, refusal.name.clone(), refusal.version.clone()));
        self.refused.entry(key).or_default().push(refusal);
        if self.order.len() > REMEMBERED
            && let Some((kind, name, version)) = self.order.pop_front()
        {
            let key = (kind, name);
            if let Some(versions) = self.refused.get_mut(&key) {
                versions.retain(|q| q.version != version);
                if versions.is_empty() {
                    self.refused.remove(&key);
                }
            }
        }
        true
    }

    /// All refusals, by type and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Quarantined> {
        self.refused.values().flatten()
    }
}
