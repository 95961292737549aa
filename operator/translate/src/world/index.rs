//! The reverse index: which Ingresses does a change of this object touch?

use std::collections::{BTreeMap, BTreeSet};

use sluice_ir::{Host, ObjectKey};

/// Something that a plan depends on besides its own Ingress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Referent {
    Service(ObjectKey),
    Secret(ObjectKey),
    /// The Ingress that a rewrite leads to.
    Ingress(ObjectKey),
    /// The host that a rewrite leads to, whoever owns it.
    Rewrite(Host),
}

/// Ingresses by what they refer to; the edges of one Ingress are replaced whole
/// at each translation.
#[derive(Debug, Default)]
pub(super) struct Index {
    referrers: BTreeMap<Referent, BTreeSet<ObjectKey>>,
    referents: BTreeMap<ObjectKey, BTreeSet<Referent>>,
}

impl Index {
    pub(super) fn replace(&mut self, ingress: &ObjectKey, referents: BTreeSet<Referent>) {
        let old = self.referents.remove(ingress).unwrap_or_default();
        for gone in old.difference(&referents) {
            if let Some(referrers) = self.referrers.get_mut(gone) {
                referrers.remove(ingress);
                if referrers.is_empty() {
                    self.referrers.remove(gone);
                }
            }
        }
        for new in referents.difference(&old) {
            self.referrers
                .entry(new.clone())
                .or_default()
                .insert(ingress.clone());
        }
        if !referents.is_empty() {
            self.referents.insert(ingress.clone(), referents);
        }
    }

    pub(super) fn referrers(&self, referent: &Referent) -> impl Iterator<Item = &ObjectKey> {
        self.referrers.get(referent).into_iter().flatten()
    }
}
