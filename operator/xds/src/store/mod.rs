//! The world as published: every resource, with when it last changed.

mod lookup;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use sluice_envoy::{Kind, Resource, Update};
use sluice_ir::ObjectKey;

use crate::canary::Canaries;
use crate::quarantine::Quarantine;
use crate::{Quarantined, Settings};

pub(crate) use lookup::Want;

/// A state of the world; grows by one with every publish that changes something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One stream of one gateway, for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// The world as published. Publishing costs what changed, not what is there;
/// a stream that is up to date finds what is new by the revision of its last
/// change.
pub struct Store {
    settings: Settings,
    revision: u64,
    epoch: u64,
    quarantine_epoch: u64,
    entries: [HashMap<Arc<str>, Entry>; Kind::ALL.len()],
    /// Every entry by the revision of its last change.
    changes: BTreeSet<(u64, Kind, Arc<str>)>,
    /// Removed names that some stream has not looked at yet, likewise.
    graves: BTreeSet<(u64, Kind, Arc<str>)>,
    buried: HashMap<(Kind, Arc<str>), u64>,
    scopes_by_key: HashMap<String, Arc<str>>,
    held: BTreeSet<ObjectKey>,
    held_namespaces: BTreeMap<String, usize>,
    /// The revision at which an Ingress last ceased to be held.
    released: u64,
    quarantine: Quarantine,
    canaries: Canaries,
    /// How far each stream has looked.
    cursors: BTreeMap<StreamId, u64>,
    streams: u64,
}

/// One resource of the store.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) resource: Resource,
    /// The revision in which the name appeared.
    pub(crate) created: u64,
    /// The revision of the last change.
    pub(crate) changed: u64,
}

impl Store {
    /// An empty world at revision 0.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            revision: 0,
            epoch: 0,
            quarantine_epoch: 0,
            entries: Default::default(),
            changes: BTreeSet::new(),
            graves: BTreeSet::new(),
            buried: HashMap::new(),
            scopes_by_key: HashMap::new(),
            held: BTreeSet::new(),
            held_namespaces: BTreeMap::new(),
            released: 0,
            quarantine: Quarantine::default(),
            canaries: Canaries::default(),
            cursors: BTreeMap::new(),
            streams: 0,
        }
    }

    /// Applies an update under one new revision; under the present one if it
    /// changes nothing. The first one opens the store even if it is empty.
    pub fn publish(&mut self, update: Update) -> Revision {
        let next = self.revision + 1;
        let mut changed = self.revision == 0;
        for (kind, name) in update.removals {
            changed |= self.remove(kind, &name, next);
        }
        for resource in update.upserts {
            changed |= self.upsert(resource, next);
        }
        for (ingress, held) in update.held {
            changed |= self.hold(ingress, held, next);
        }
        if changed {
            self.revision = next;
            self.epoch += 1;
        }
        Revision(self.revision)
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    /// Moves whenever a stream that had nothing to do may have something to do.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What of the present world is not sent since a gateway refused it.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let current = |q: &&Quarantined| {
            self.entry(q.kind, &q.name).is_some_and(|entry| {
                let resource = &entry.resource;
                let mut contents = resource.content.iter().chain(&resource.standby);
                contents.any(|content| content.version == q.version)
            })
        };
        self.quarantine.iter().filter(current).cloned().collect()
    }

    /// How many resources there are, by type.
    #[must_use]
    pub fn resources(&self) -> BTreeMap<Kind, usize> {
        let count = |kind: Kind| (kind, self.entries[kind as usize].len());
        Kind::ALL.into_iter().map(count).collect()
    }

    pub(crate) fn quarantine_epoch(&self) -> u64 {
        self.quarantine_epoch
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn upsert(&mut self, resource: Resource, next: u64) -> bool {
        let kind = resource.kind;
        let entries = &mut self.entries[kind as usize];
        let old = entries.get_key_value(resource.name.as_str());
        let (name, created) = match old {
            Some((_, entry)) if entry.resource == resource => return false,
            Some((name, entry)) => {
                self.changes.remove(&(entry.changed, kind, name.clone()));
                (name.clone(), entry.created)
            }
            None => (Arc::from(resource.name.as_str()), next),
        };
        if let Some(grave) = self.buried.remove(&(kind, name.clone())) {
            self.graves.remove(&(grave, kind, name.clone()));
        }
        if kind == Kind::Scope {
            let stale = entries.get(&name).and_then(|e| e.resource.key.clone());
            if let Some(stale) = stale
                && self.scopes_by_key.get(&stale) == Some(&name)
            {
                self.scopes_by_key.remove(&stale);
            }
            if let Some(key) = resource.key.clone() {
                self.scopes_by_key.insert(key, name.clone());
            }
        }
        self.touch_quarantine(kind, &name);
        self.changes.insert((next, kind, name.clone()));
        let entry = Entry {
            resource,
            created,
            changed: next,
        };
        self.entries[kind as usize].insert(name, entry);
        true
    }

    fn remove(&mut self, kind: Kind, name: &str, next: u64) -> bool {
        let Some((name, entry)) = self.entries[kind as usize].remove_entry(name) else {
            return false;
        };
        self.changes.remove(&(entry.changed, kind, name.clone()));
        if let Some(key) = entry.resource.key
            && self.scopes_by_key.get(&key) == Some(&name)
        {
            self.scopes_by_key.remove(&key);
        }
        self.touch_quarantine(kind, &name);
        if !self.cursors.is_empty() {
            self.graves.insert((next, kind, name.clone()));
            self.buried.insert((kind, name), next);
        }
        true
    }

    fn hold(&mut self, ingress: ObjectKey, held: bool, next: u64) -> bool {
        let namespace = ingress.namespace.clone();
        if held {
            let new = self.held.insert(ingress);
            if new {
                *self.held_namespaces.entry(namespace).or_default() += 1;
            }
            new
        } else {
            let known = self.held.remove(&ingress);
            if known {
                self.released = next;
                if let Some(count) = self.held_namespaces.get_mut(&namespace) {
                    *count -= 1;
                    if *count == 0 {
                        self.held_namespaces.remove(&namespace);
                    }
                }
            }
            known
        }
    }

    /// The list of what is refused follows the world.
    fn touch_quarantine(&mut self, kind: Kind, name: &str) {
        if self.quarantine.names(kind, name) {
            self.quarantine_epoch += 1;
        }
    }
}
