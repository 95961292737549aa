//! One stream of one gateway: what it asked for, what it holds, what it is sent
//! next. No I/O: requests, a store and a clock value in, responses out.
//!
//! ```text
//! on_request ─► subscriptions ─┐
//!            └► ACK, NACK ─────┤
//! store ──► news ──► due ──────┴─► poll: for each type with nothing outstanding,
//!                                  judge each due name: send, wait, or settle
//! ```
//!
//! The rules of order, each a test in `tests/delta`:
//! - One response of a type is outstanding at a time; what changes meanwhile
//!   is due once, with its newest content.
//! - CDS first, and again the assignment of every cluster sent (Envoy holds the
//!   ACK of a cluster until its assignment comes).
//! - A scope or table of revision *r* waits until every cluster and assignment
//!   that appeared up to *r* is acknowledged or refused ([`judge`]).
//! - A scope waits for the present content of its table if the gateway has that
//!   table; a host that moves waits in any case, and the table is warmed by an
//!   anchor if nothing else leads to it. A table that hosts move away from
//!   waits for them ([`table`]).
//! - Clusters go after all scopes and tables of their revision, and a grace.
//! - The readiness table goes when all that was there at its time is settled.
//! - What a gateway may hold of a held Ingress is left alone.
//! - A refused response counts for nothing; its parts are sent again in halves,
//!   and what is refused alone is never sent again ([`answer`]).
//!
//! Every wait ends by itself or harms only its own gateway: on an ACK or NACK
//! of that gateway, on a time ([`Stream::next_wakeup`]), or on another stream's
//! step that moves [`Store::epoch`].

mod anchor;
mod answer;
mod ask;
mod batch;
mod due;
mod judge;
mod leave;
mod scopes;
mod spellings;
mod subscription;
mod table;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use sluice_envoy::{Kind, name};

use crate::wire::DeltaDiscoveryResponse;
use crate::{Node, Revision, Settings, Store, StreamId};

use due::Mark;
use leave::{Kept, Leaving};
use scopes::Scopes;
use spellings::Spellings;
use subscription::Subscriptions;

/// What a gateway must have asked for before it can hold a world.
const ESSENTIAL: [Kind; 3] = [Kind::Cluster, Kind::Listener, Kind::Scope];

/// The protocol's state for one stream.
pub struct Stream {
    id: StreamId,
    node: String,
    envoy: Option<String>,
    types: Subscriptions,
    scopes: Scopes,
    spellings: Spellings,
    /// The store's revision that this stream has looked at.
    cursor: u64,
    acked: Option<u64>,
    settings: Settings,
    nonces: u64,
    /// Tables that stay at their last good version.
    kept: Kept,
    /// Held names that the store lacks, left there for last good routes.
    orphans: BTreeSet<(Kind, Arc<str>)>,
    /// Clusters sent before the gateway asked for any assignment.
    unassigned: BTreeSet<Arc<str>>,
    /// Removed clusters.
    leaving: Leaving,
    /// The readiness table is due, once this revision is settled.
    readiness: Option<(u64, Mark)>,
    /// Tables that acknowledged scopes lead to and that were not asked for yet.
    awaited: BTreeMap<String, u64>,
    wakeup: Option<Instant>,
}

impl Stream {
    /// Opens a stream that asked for nothing yet. It must be closed.
    #[must_use]
    pub fn open(store: &mut Store) -> Self {
        Self {
            id: store.open_stream(),
            node: String::new(),
            envoy: None,
            types: Subscriptions::default(),
            scopes: Scopes::default(),
            spellings: Spellings::default(),
            cursor: store.revision().0,
            acked: None,
            settings: store.settings().clone(),
            nonces: 0,
            kept: Kept::default(),
            orphans: BTreeSet::new(),
            unassigned: BTreeSet::new(),
            leaving: Leaving::default(),
            readiness: None,
            awaited: BTreeMap::new(),
            wakeup: None,
        }
    }

    /// Ends the stream: others wait no longer for what it tries out.
    pub fn close(&mut self, store: &mut Store) {
        store.close_stream(self.id);
    }

    /// Its name in the store.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// When to poll again though nothing happens.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Instant> {
        self.wakeup
    }

    /// What to send now; empty before the store's first publish, so that a
    /// start never takes away what a gateway holds. Costs what is due.
    pub fn poll(&mut self, store: &mut Store, now: Instant) -> Vec<DeltaDiscoveryResponse> {
        self.wakeup = None;
        if store.revision() == Revision(0) {
            return Vec::new();
        }
        for kind in Kind::ALL {
            self.types[kind].time_acks(now);
        }
        self.look_for_news(store);
        let mut responses = Vec::new();
        self.let_clusters_go(now);
        // What one pass settles may be what another name waited for, and then
        // no request would come to try again.
        while self.pass(store, now, &mut responses) || self.let_clusters_go(now) {}
        self.acked = self.acked.max(self.settled());
        responses
    }

    /// What the gateway holds and said, for the fleet.
    #[must_use]
    pub fn node(&self) -> Node {
        Node {
            id: self.node.clone(),
            envoy: self.envoy.clone(),
            acked: self.acked.map(Revision),
            serving: self.types[Kind::RouteTable]
                .held
                .contains_key(name::READINESS_TABLE),
            kinds: Kind::ALL
                .into_iter()
                .filter(|kind| self.types[*kind].active)
                .map(|kind| (kind, self.types[kind].traffic()))
                .collect(),
        }
    }

    /// Makes due what changed since this stream last looked.
    fn look_for_news(&mut self, store: &mut Store) {
        let revision = store.revision().0;
        if self.cursor == revision {
            return;
        }
        let seen = std::mem::replace(&mut self.cursor, revision);
        for change in store.changes_after(seen) {
            let kind = change.kind;
            if !self.types[kind].active {
                continue;
            }
            // What is no certificate of a host is asked for by its own name.
            if kind == Kind::Secret && Spellings::host(&change.name).is_some() {
                for asked in self.spellings.of_host(&change.name).to_vec() {
                    self.mark(kind, &asked, change.since, false);
                }
                continue;
            }
            let known = self.types[kind].held.contains_key(&change.name)
                || self.types[kind].due.get(&change.name).is_some();
            if self.types[kind].wants(&change.name) && (known || !change.removed) {
                self.mark(kind, &change.name, change.since, false);
            }
        }
        if store.released() > seen {
            let since = store.released();
            for (kind, name) in std::mem::take(&mut self.orphans) {
                self.mark(kind, &name, since, false);
            }
        }
        store.caught_up(self.id);
    }

    /// Makes a name due that the gateway wants.
    fn mark(&mut self, kind: Kind, name: &Arc<str>, since: u64, force: bool) {
        let add = !self.types[kind].held.contains_key(name);
        let mark = Mark { since, add, force };
        if kind == Kind::RouteTable {
            self.awaited.remove(&**name);
            if **name == *name::READINESS_TABLE && self.types[kind].due.get(name).is_none() {
                let force = force || self.readiness.is_some_and(|(_, mark)| mark.force);
                self.readiness = Some((self.cursor, Mark { force, ..mark }));
                return;
            }
        }
        self.types[kind].due.mark(name, mark);
    }

    /// The newest revision of which nothing is due any more, but for the
    /// readiness table; `None` while a type is missing that a gateway needs.
    fn settled(&self) -> Option<u64> {
        let essential = |kind: &Kind| self.types[*kind].active && self.types[*kind].answered;
        if !ESSENTIAL.iter().all(essential) {
            return None;
        }
        // A gateway that comes back with scopes has tables too, and names them
        // in a request of its own: until then it is not known what they lack.
        if !self.types[Kind::Scope].held.is_empty() && !self.types[Kind::RouteTable].active {
            return None;
        }
        let due = Kind::ALL
            .iter()
            .filter_map(|kind| self.types[*kind].due.oldest());
        let oldest = due.chain(self.awaited.values().copied()).min();
        Some(oldest.map_or(self.cursor, |oldest| {
            self.cursor.min(oldest.saturating_sub(1))
        }))
    }
}
