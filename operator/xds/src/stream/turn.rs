//! Fills responses with what may go.

use std::sync::Arc;
use std::time::Instant;

use sluice_envoy::{Kind, name};

use super::Stream;
use super::anchor::Pass;
use super::batch::Batch;
use super::due::Mark;
use super::judge::Verdict;
use super::subscription::{Atom, Outstanding, Step};
use crate::Store;
use crate::canary::Leave;
use crate::wire::{Any, DeltaDiscoveryResponse, Resource};

/// The order of types within one turn: what is referred to, first.
const ORDER: [Kind; 6] = [
    Kind::Cluster,
    Kind::Endpoints,
    Kind::Listener,
    Kind::Secret,
    Kind::Scope,
    Kind::RouteTable,
];

impl Stream {
    /// Fills at most one response per type; `true` if something that was due
    /// turned out to be settled, which may be what another type waited for.
    pub(super) fn pass(
        &mut self,
        store: &mut Store,
        now: Instant,
        responses: &mut Vec<DeltaDiscoveryResponse>,
    ) -> bool {
        let mut settled = false;
        for kind in ORDER {
            if kind == Kind::RouteTable {
                self.release_readiness();
            }
            if !self.types[kind].active || self.types[kind].outstanding.is_some() {
                continue;
            }
            let batch = self.fill(kind, store, now);
            settled |= batch.settled;
            let greet = self.types[kind].greet && self.types[kind].due.is_empty();
            if !batch.atoms.is_empty() || greet {
                responses.push(self.send(kind, batch.atoms));
            }
        }
        settled
    }

    /// Suspects and others in turn, so that a long bisection holds up nobody.
    fn fill(&mut self, kind: Kind, store: &mut Store, now: Instant) -> Batch {
        let mut settled = false;
        let suspects_first = self.types[kind].suspects_next;
        for suspects in [suspects_first, !suspects_first] {
            let mut batch = if suspects {
                self.fill_from_suspects(kind, store, now)
            } else {
                self.fill_from_ready(kind, store, now)
            };
            settled |= batch.settled;
            if !batch.atoms.is_empty() {
                self.types[kind].suspects_next = !suspects;
                batch.settled = settled;
                return batch;
            }
        }
        let mut batch = Batch::default();
        batch.settled = settled;
        batch
    }

    fn fill_from_suspects(&mut self, kind: Kind, store: &mut Store, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let mut pass = Pass::default();
        while batch.atoms.is_empty() {
            let Some(group) = self.types[kind].suspects.pop_front() else {
                break;
            };
            let mut rest = group.iter();
            while let Some(name) = rest.next() {
                if !self.step(kind, name, store, now, &mut pass, &mut batch) {
                    // Not now: it goes on as an ordinary name.
                    self.types[kind].due.retry(name);
                }
                if batch.full {
                    // Grown beyond one response since it was refused.
                    let rest: Vec<_> = rest.cloned().collect();
                    if !rest.is_empty() {
                        self.types[kind].suspects.push_front(rest);
                    }
                    break;
                }
            }
        }
        batch
    }

    fn fill_from_ready(&mut self, kind: Kind, store: &mut Store, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let mut pass = Pass::default();
        let mut last: Option<Arc<str>> = None;
        while !batch.full
            && let Some(name) = self.types[kind].due.next_ready(last.as_ref())
        {
            self.step(kind, &name, store, now, &mut pass, &mut batch);
            last = Some(name);
        }
        if kind == Kind::Scope && !batch.full {
            self.tend_anchors(store, &pass, &mut batch);
        }
        batch
    }

    /// Judges one name and acts on it; `false` if it waits.
    fn step(
        &mut self,
        kind: Kind,
        name: &Arc<str>,
        store: &mut Store,
        now: Instant,
        pass: &mut Pass,
        batch: &mut Batch,
    ) -> bool {
        let atom = match self.judge(kind, name, store, pass) {
            Verdict::Wait => return false,
            Verdict::Send(atom) => atom,
            verdict => {
                match verdict {
                    Verdict::Kept => self.kept.keep(kind, name),
                    Verdict::LeftAlone => {
                        self.orphans.insert((kind, name.clone()));
                    }
                    Verdict::Leaves => self.leaving.wait(self.cursor, name),
                    _ => self.let_go(kind, name),
                }
                self.leave_due(kind, name);
                batch.settled = true;
                return true;
            }
        };
        if let Some(shape) = atom.brings().and_then(|put| put.shape)
            && let Leave::Wait(until) = store.ask_canary(kind, shape, self.id, now)
        {
            self.wakeup = Some(self.wakeup.map_or(until, |at| at.min(until)));
            return false;
        }
        let removal = atom.brings().is_none();
        if batch.push(atom, &self.settings).is_err() {
            return false;
        }
        self.types[kind].due.sent(name, removal);
        if kind == Kind::Cluster {
            self.leaving.forget(name);
        }
        self.let_go(kind, name);
        true
    }

    fn leave_due(&mut self, kind: Kind, name: &Arc<str>) {
        self.types[kind].due.remove(name);
        if kind == Kind::Cluster {
            self.leaving.forget(name);
        }
    }

    /// A cluster that was sent waits for its assignment, changed or not.
    fn assign_again(&mut self, cluster: &Arc<str>) {
        if !self.types[Kind::Endpoints].active {
            self.unassigned.insert(cluster.clone());
        } else if self.types[Kind::Endpoints].wants(cluster) {
            let mark = self.types[Kind::Cluster].due.get(cluster);
            let since = mark.map_or(self.cursor, |mark| mark.since);
            self.mark(Kind::Endpoints, cluster, since, true);
        }
    }

    /// Lets the readiness table go once all of its time is settled.
    fn release_readiness(&mut self) {
        let Some((target, mark)) = self.readiness else {
            return;
        };
        if self.settled().is_none_or(|settled| settled < target) {
            return;
        }
        self.readiness = None;
        let name: Arc<str> = Arc::from(name::READINESS_TABLE);
        // Whoever waits for acknowledgements has waited for this one already.
        let mark = Mark {
            since: u64::MAX,
            ..mark
        };
        self.types[Kind::RouteTable].due.mark(&name, mark);
    }

    /// Puts a response together and makes it the outstanding one.
    fn send(&mut self, kind: Kind, atoms: Vec<Atom>) -> DeltaDiscoveryResponse {
        self.nonces += 1;
        let nonce = self.nonces.to_string();
        let mut resources = Vec::new();
        let mut removed = Vec::new();
        let mut bytes = 0;
        for step in atoms.iter().flat_map(|atom| &atom.steps) {
            match step {
                Step::Remove(name) => removed.push(name.to_string()),
                Step::Put(put) => {
                    bytes += put.content.body.len() as u64;
                    resources.push(Resource {
                        version: put.content.version.clone(),
                        resource: Some(Any {
                            type_url: kind.type_url().to_owned(),
                            value: put.content.body.clone(),
                        }),
                        name: put.name.to_string(),
                    });
                    if kind == Kind::Cluster {
                        self.assign_again(&put.name);
                    }
                }
            }
        }
        let subscription = &mut self.types[kind];
        subscription.greet = false;
        subscription.traffic.sent += resources.len() as u64;
        subscription.traffic.bytes += bytes;
        subscription.traffic.removed += removed.len() as u64;
        tracing::debug!(
            %kind,
            nonce,
            revision = self.cursor,
            resources = resources.len(),
            removed = removed.len(),
            bytes,
            "response sent"
        );
        subscription.outstanding = Some(Outstanding {
            nonce: nonce.clone(),
            atoms,
        });
        DeltaDiscoveryResponse {
            system_version_info: self.cursor.to_string(),
            resources,
            type_url: kind.type_url().to_owned(),
            nonce,
            removed_resources: removed,
        }
    }
}
