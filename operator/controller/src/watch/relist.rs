//! What a fresh list says of objects that are not in it.

use std::collections::BTreeSet;

use sluice_ir::ObjectKey;

/// The keys of one resource that the loop was told of.
///
/// A watch that broke is followed by a list, and what vanished in the gap shows
/// only by its absence from the *whole* of it: a list that breaks off says nothing
/// of what it did not come to.
#[derive(Debug, Default)]
pub(crate) struct Relist {
    known: BTreeSet<ObjectKey>,
    listed: BTreeSet<ObjectKey>,
}

impl Relist {
    /// A list begins.
    pub(crate) fn begin(&mut self) {
        self.listed.clear();
    }

    /// An object of the list.
    pub(crate) fn list(&mut self, key: ObjectKey) {
        // Known at once: the loop was told, even if this list breaks off.
        self.known.insert(key.clone());
        self.listed.insert(key);
    }

    /// The list is whole: gives what was known and is not in it.
    pub(crate) fn end(&mut self) -> Vec<ObjectKey> {
        let listed = std::mem::take(&mut self.listed);
        let gone = self.known.difference(&listed).cloned().collect();
        self.known = listed;
        gone
    }

    /// An object that the watch told of.
    pub(crate) fn apply(&mut self, key: ObjectKey) {
        self.known.insert(key);
    }

    /// An object that the watch told to be gone.
    pub(crate) fn delete(&mut self, key: &ObjectKey) {
        self.known.remove(key);
    }
}
