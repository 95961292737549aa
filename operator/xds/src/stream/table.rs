//! Tables on one stream: which are there, and which must not change yet.
//!
//! A host that moves from table A to table B must find itself in B before its
//! scope leads there, and in A until then. So the scope waits for B's present
//! content, and A's new content, which lacks the host, waits for the scope. Where
//! hosts move in a circle (two Ingresses that swap hosts) this would wait for
//! ever: tables on a circle do not wait, and their hosts answer 404 for the one
//! round trip between the tables and the scopes.

use std::collections::BTreeSet;

use sluice_envoy::{Kind, name};

use super::Stream;
use super::due::Mark;
use super::scopes::anchored;
use crate::Store;
use crate::store::Want;

/// Whether a scope may lead to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The gateway holds all that it will get under this name.
    Present,
    /// It asked for it, and has not acknowledged the present content.
    Coming,
    /// It has no scope that leads there; the content is of this revision.
    Unasked(u64),
    /// There is nothing to send.
    Never,
}

impl Stream {
    pub(super) fn table(&self, table: &str, store: &Store) -> Table {
        let tables = &self.types[Kind::RouteTable];
        let held = tables.version(table);
        match store.want(Kind::RouteTable, table, held) {
            Want::Keep => Table::Present,
            Want::Nothing if held.is_some() => Table::Present,
            Want::Nothing => Table::Never,
            Want::Content(content, _) => {
                if held == Some(content.version.as_str()) && !tables.due.is_uncertain(table) {
                    Table::Present
                } else if tables.wants(table) {
                    // What is not due will not come, so nobody may wait for it.
                    match tables.due.get(table) {
                        Some(_) => Table::Coming,
                        None => Table::Present,
                    }
                } else {
                    let entry = store.entry(Kind::RouteTable, table);
                    Table::Unasked(entry.map_or(0, |entry| entry.changed))
                }
            }
        }
    }

    /// Whether the present content of a table must wait.
    pub(super) fn is_deferred(&self, table: &str, mark: Mark, store: &Store) -> bool {
        if table == name::READINESS_TABLE {
            return false;
        }
        let changed = store
            .entry(Kind::RouteTable, table)
            .map_or(0, |entry| entry.changed);
        if self.is_gated(changed) {
            return true;
        }
        // A gateway that asked again, or refused, is answered at once.
        !mark.force && self.types[Kind::RouteTable].held.contains_key(table) && {
            let next = self.destinations(table, store);
            !next.is_empty() && !self.leads_back(table, next, store)
        }
    }

    /// The tables that hosts of this one are about to move to.
    fn destinations(&self, table: &str, store: &Store) -> BTreeSet<String> {
        if self.types[Kind::Scope].due.is_empty() {
            return BTreeSet::new();
        }
        self.scopes
            .of_table(table)
            .filter(|scope| anchored(scope).is_none())
            .filter_map(|scope| self.successor(scope, store))
            .filter_map(|successor| store.entry(Kind::Scope, successor)?.resource.table.clone())
            .filter(|destination| destination != table)
            .collect()
    }

    /// Whether waiting for these tables would be waiting for this one.
    fn leads_back(&self, table: &str, mut next: BTreeSet<String>, store: &Store) -> bool {
        let mut seen = BTreeSet::new();
        while let Some(destination) = next.pop_first() {
            if destination == table {
                return true;
            }
            let waits = self.table(&destination, store) == Table::Coming;
            if waits && seen.insert(destination.clone()) {
                next.extend(self.destinations(&destination, store));
            }
        }
        false
    }
}
