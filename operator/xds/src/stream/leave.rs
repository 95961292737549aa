//! Clusters go last: after every scope and table of their revision, and a grace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use sluice_envoy::{Kind, name};

use super::Stream;
use super::due::Mark;

/// Removed clusters that a gateway still holds.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// By the revision whose scopes and tables must go first.
    waiting: BTreeMap<u64, Group>,
    /// The group of each name: that of its latest leave, so that a cluster that
    /// came back and left again has a whole grace anew.
    latest: BTreeMap<Arc<str>, u64>,
    /// Those whose time has come.
    ready: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
struct Group {
    names: BTreeSet<Arc<str>>,
    /// When the grace ends; it begins when nothing leads to them any more.
    until: Option<Instant>,
}

impl Leaving {
    pub(super) fn wait(&mut self, revision: u64, name: &Arc<str>) {
        let earlier = self.latest.insert(name.clone(), revision);
        if let Some(group) = earlier.and_then(|earlier| self.waiting.get_mut(&earlier)) {
            group.names.remove(name);
        }
        let group = self.waiting.entry(revision).or_default();
        group.names.insert(name.clone());
    }

    /// Whether the removal may be sent.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        self.ready.contains(name)
    }

    /// The removal was sent, or is no longer meant.
    pub(super) fn forget(&mut self, name: &str) {
        self.ready.remove(name);
    }
}

/// Tables whose present content was refused, or cannot be built: a gateway
/// serves the last good one, and with it clusters that the store may have
/// forgotten. Which ones is not known here, only their namespace.
#[derive(Debug, Default)]
pub(super) struct Kept {
    tables: BTreeMap<Arc<str>, String>,
}

impl Kept {
    pub(super) fn keep(&mut self, kind: Kind, name: &Arc<str>) {
        if kind == Kind::RouteTable
            && let Some(ingress) = name::owner(kind, name)
        {
            self.tables.insert(name.clone(), ingress.namespace);
        }
    }

    /// Whether the routes of a kept table may lead to this name.
    pub(super) fn may_need(&self, kind: Kind, name: &str) -> bool {
        !self.tables.is_empty()
            && matches!(kind, Kind::Cluster | Kind::Endpoints)
            && name::owner(kind, name)
                .is_some_and(|owner| self.tables.values().any(|ns| *ns == owner.namespace))
    }
}

impl Stream {
    /// The table is not kept any more: what was left for it is judged again.
    pub(super) fn let_go(&mut self, kind: Kind, name: &str) {
        if kind == Kind::RouteTable && self.kept.tables.remove(name).is_some() {
            let since = self.cursor;
            for (kind, name) in std::mem::take(&mut self.orphans) {
                self.mark(kind, &name, since, false);
            }
        }
    }

    /// Starts and ends graces; `true` if a removal may be sent now.
    pub(super) fn let_clusters_go(&mut self, now: Instant) -> bool {
        let routes = [Kind::Scope, Kind::RouteTable];
        let due = routes.iter().filter_map(|k| self.types[*k].due.oldest());
        let oldest = due.chain(self.awaited.values().copied()).min();
        let mut over = Vec::new();
        for (revision, group) in &mut self.leaving.waiting {
            if oldest.is_some_and(|oldest| oldest <= *revision) {
                break;
            }
            let until = *group.until.get_or_insert(now + self.settings.cluster_grace);
            if until <= now {
                over.push(*revision);
            } else {
                self.wakeup = Some(self.wakeup.map_or(until, |at| at.min(until)));
            }
        }
        for revision in &over {
            let group = self.leaving.waiting.remove(revision).unwrap_or_default();
            for name in group.names {
                // Nobody waits for a removal: it holds back no revision.
                let mark = Mark {
                    since: u64::MAX,
                    add: false,
                    force: false,
                };
                self.types[Kind::Cluster].due.mark(&name, mark);
                self.leaving.latest.remove(&name);
                self.leaving.ready.insert(name);
            }
        }
        !over.is_empty()
    }
}
