//! What streams ask of the store.

use std::sync::Arc;
use std::time::Instant;

use sluice_envoy::{Content, Kind, STANDBY, name};
use sluice_ir::{Host, Side};

use super::{Entry, Store, StreamId};
use crate::Quarantined;
use crate::canary::Leave;

/// What one stream should have under one name.
#[derive(Debug)]
pub(crate) enum Want<'a> {
    /// This content; with the shape to try out, if it is to be tried out.
    Content(&'a Content, Option<u64>),
    /// Whatever it has: last good.
    Keep,
    /// Nothing.
    Nothing,
}

/// One change, for a stream that looks for news.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) name: Arc<str>,
    /// The earliest revision that may be unknown to who asks.
    pub(crate) since: u64,
    pub(crate) removed: bool,
}

impl Store {
    pub(crate) fn entry(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.entries[kind as usize].get(name)
    }

    /// All names of a type.
    pub(crate) fn names(&self, kind: Kind) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.entries[kind as usize].iter()
    }

    /// The live scope that has this key.
    pub(crate) fn scope_of_key(&self, key: &str) -> Option<&Arc<str>> {
        self.scopes_by_key.get(key)
    }

    /// What a stream should have that holds this version of the name, or none.
    pub(crate) fn want(&self, kind: Kind, name: &str, held: Option<&str>) -> Want<'_> {
        let Some(entry) = self.entry(kind, name) else {
            return Want::Nothing;
        };
        let resource = &entry.resource;
        // Of two scopes with one key only the newer may reach a gateway: it
        // would refuse both.
        if let Some(key) = &resource.key
            && self.scopes_by_key.get(key).is_none_or(|n| **n != *name)
        {
            return Want::Nothing;
        }
        let usable = |content: &&Content| !self.quarantine.contains(kind, name, &content.version);
        if let Some(content) = resource.content.as_ref().filter(usable) {
            return Want::Content(content, Some(resource.shape));
        }
        match resource.standby.as_ref().filter(usable) {
            Some(standby) if held.is_none_or(|version| version.starts_with(STANDBY)) => {
                Want::Content(standby, None)
            }
            _ if held.is_some() => Want::Keep,
            _ => Want::Nothing,
        }
    }

    /// Whether a gateway refused this version alone.
    pub(crate) fn is_quarantined(&self, kind: Kind, name: &str, version: &str) -> bool {
        self.quarantine.contains(kind, name, version)
    }

    /// Whether what a gateway holds under a name that the store lacks is left
    /// there, since it may be last good of an Ingress that is held. A scope goes
    /// by the name of its table.
    pub(crate) fn is_left_alone(&self, kind: Kind, name: &str) -> bool {
        if self.held.is_empty() {
            return false;
        }
        match kind {
            Kind::Scope | Kind::RouteTable => self.is_held(name),
            Kind::Cluster | Kind::Endpoints => name::owner(kind, name)
                .is_some_and(|owner| self.held_namespaces.contains_key(&owner.namespace)),
            Kind::Secret => self.is_host_of_held(name),
            Kind::Listener => false,
        }
    }

    /// A certificate has no owner in its name; the scopes of its host have.
    fn is_host_of_held(&self, host: &str) -> bool {
        let Ok(host) = Host::parse(host) else {
            return false;
        };
        Side::ALL.iter().any(|side| {
            self.entry(Kind::Scope, &name::scope(*side, &host))
                .and_then(|entry| entry.resource.table.as_deref())
                .is_some_and(|table| self.is_held(table))
        })
    }

    /// Whether a table belongs to an Ingress that is held.
    fn is_held(&self, table: &str) -> bool {
        name::owner(Kind::RouteTable, table).is_some_and(|ingress| self.held.contains(&ingress))
    }

    /// All that changed after a revision.
    pub(crate) fn changes_after(&self, cursor: u64) -> impl Iterator<Item = Change> {
        let start = (cursor + 1, Kind::ALL[0], Arc::from(""));
        let graves = self.graves.range(start.clone()..);
        let graves = graves.map(|(revision, kind, name)| Change {
            kind: *kind,
            name: name.clone(),
            since: *revision,
            removed: true,
        });
        let upserts = self.changes.range(start..);
        let upserts = upserts.map(move |(_, kind, name)| {
            let created = self.entry(*kind, name).map_or(0, |entry| entry.created);
            Change {
                kind: *kind,
                name: name.clone(),
                since: created.max(cursor + 1),
                removed: false,
            }
        });
        graves.chain(upserts)
    }

    /// The revision at which an Ingress last ceased to be held.
    pub(crate) fn released(&self) -> u64 {
        self.released
    }

    /// Names a new stream, which has seen nothing.
    pub(crate) fn open_stream(&mut self) -> StreamId {
        self.streams += 1;
        let stream = StreamId(self.streams);
        self.cursors.insert(stream, self.revision);
        stream
    }

    pub(crate) fn close_stream(&mut self, stream: StreamId) {
        self.cursors.remove(&stream);
        self.forget_graves();
        if self.canaries.ended(stream) {
            self.epoch += 1;
        }
    }

    /// The stream has looked at everything up to the newest revision.
    pub(crate) fn caught_up(&mut self, stream: StreamId) {
        self.cursors.insert(stream, self.revision);
        self.forget_graves();
    }

    fn forget_graves(&mut self) {
        let seen = self.cursors.values().min().copied().unwrap_or(u64::MAX);
        while let Some((revision, _, _)) = self.graves.first()
            && *revision <= seen
        {
            if let Some((_, kind, name)) = self.graves.pop_first() {
                self.buried.remove(&(kind, name));
            }
        }
    }

    pub(crate) fn ask_canary(
        &mut self,
        kind: Kind,
        shape: u64,
        stream: StreamId,
        now: Instant,
    ) -> Leave {
        let wait = self.settings.canary_wait;
        self.canaries.ask(kind, shape, stream, now, wait)
    }

    pub(crate) fn accepted(&mut self, kind: Kind, shape: u64, stream: StreamId) {
        if self.canaries.accepted(kind, shape, stream) {
            self.epoch += 1;
        }
    }

    /// Remembers that a gateway refused a version alone.
    pub(crate) fn refused(&mut self, refusal: Quarantined, shape: Option<u64>) {
        if let Some(shape) = shape {
            self.canaries.refused(refusal.kind, shape);
        }
        if self.quarantine.insert(refusal) {
            self.quarantine_epoch += 1;
            self.epoch += 1;
        }
    }
}
