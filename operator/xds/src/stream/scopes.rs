//! The scopes that a gateway holds, by key and by table.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sluice_envoy::{Content, Resource, name};

/// Where a scope stands and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placing {
    /// Unique among all scopes of a gateway.
    pub(super) key: String,
    /// The RouteConfiguration that it leads to.
    pub(super) table: String,
}

impl Placing {
    /// The placing of a resource, if it has a key and a table.
    pub(super) fn of(resource: &Resource) -> Option<Self> {
        Some(Self {
            key: resource.key.clone()?,
            table: resource.table.clone()?,
        })
    }

    /// What name and version say: all that is known of a scope from before this
    /// stream.
    pub(super) fn held(scope: &str, version: &str) -> Option<Self> {
        Some(Self {
            key: name::scope_key(scope)?,
            table: Content::table_of(version)?.to_owned(),
        })
    }
}

/// The table that an anchor keeps warm; `None` for the scope of a host.
pub(super) fn anchored(scope: &str) -> Option<&str> {
    let (table, _) = scope.rsplit_once('/')?;
    (name::anchor_scope(table) == scope).then_some(table)
}

/// An index of the scopes that a gateway acknowledged.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    placings: HashMap<Arc<str>, Placing>,
    by_key: HashMap<String, Arc<str>>,
    by_table: HashMap<String, BTreeSet<Arc<str>>>,
    anchors: BTreeSet<Arc<str>>,
}

impl Scopes {
    pub(super) fn insert(&mut self, name: &Arc<str>, placing: Placing) {
        self.remove(name);
        if anchored(name).is_some() {
            self.anchors.insert(name.clone());
        }
        self.by_key.insert(placing.key.clone(), name.clone());
        self.by_table
            .entry(placing.table.clone())
            .or_default()
            .insert(name.clone());
        self.placings.insert(name.clone(), placing);
    }

    pub(super) fn remove(&mut self, name: &str) {
        let Some(placing) = self.placings.remove(name) else {
            return;
        };
        self.anchors.remove(name);
        if self.by_key.get(&placing.key).is_some_and(|n| **n == *name) {
            self.by_key.remove(&placing.key);
        }
        if let Some(scopes) = self.by_table.get_mut(&placing.table) {
            scopes.remove(name);
            if scopes.is_empty() {
                self.by_table.remove(&placing.table);
            }
        }
    }

    pub(super) fn placing(&self, name: &str) -> Option<&Placing> {
        self.placings.get(name)
    }

    /// The scope that has this key.
    pub(super) fn of_key(&self, key: &str) -> Option<&Arc<str>> {
        self.by_key.get(key)
    }

    /// The scopes that lead to this table.
    pub(super) fn of_table(&self, table: &str) -> impl Iterator<Item = &Arc<str>> {
        self.by_table.get(table).into_iter().flatten()
    }

    pub(super) fn anchors(&self) -> impl Iterator<Item = &Arc<str>> {
        self.anchors.iter()
    }
}
