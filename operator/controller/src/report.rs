//! From what is published to what the status says.
//!
//! One task holds an [`entry::Entry`] per Ingress and decides; probes and writes
//! run beside it, so that a slow gateway or a slow API server holds up neither the
//! decisions nor, far less, what is published.

mod answer;
mod confirm;
mod entry;
mod event;
mod quorum;
mod targets;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use sluice_ir::{ObjectKey, Reason};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use crate::config::Options;
use crate::gateways::{FleetView, GatewayRefusal};
use crate::health::{Health, IngressState};
use crate::inspect::Question;
use crate::probe::Unconfirmed;
use crate::status::{Addresses, IngressStatus};
use crate::watch::{GatewayEndpoint, Stored};

pub use confirm::Confirm;

pub(crate) use entry::Judged;

use entry::{Entry, Next, Scene, Wait};
use event::Herald;
use quorum::Quorum;
use write::{Write, Written};

/// Status writes in flight, so that a wave of changes is not one on the API server.
const WRITES: usize = 16;
/// Rounds of probes in flight.
const PROBES: usize = 32;

/// Revisions whose way to the gateways is timed at once: one that stands in the way of all
/// must not fill the memory.
const PUBLISHED: usize = 4096;

/// What the loop tells.
#[derive(Debug)]
pub(crate) enum Report {
    /// An Ingress as it is stored.
    Stored(ObjectKey, Stored),
    /// What became of its newest generation.
    Judged(ObjectKey, Judged),
    /// An Ingress is gone, or no longer Sluice's.
    Gone(ObjectKey),
    /// A revision was published; with the first sign of what it holds.
    Published(u64, Instant),
    /// The gateways' slices.
    Gateways(BTreeMap<ObjectKey, Vec<GatewayEndpoint>>),
    /// Somebody wants to know something.
    Asked(Question),
}

/// What ran beside the reporter.
#[derive(Debug)]
enum Done {
    Probed {
        revision: u64,
        generation: i64,
        result: Result<(), Unconfirmed>,
    },
    Written(Written),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Probe,
    Write,
}

/// Decides what each Ingress's status says, and has it written while this replica
/// leads.
pub(crate) struct Reporter<P> {
    client: Client,
    prober: Arc<P>,
    addresses: Addresses,
    health: Arc<Health>,
    herald: Herald,
    entries: BTreeMap<ObjectKey, Entry>,
    /// Ingresses by the revision that gateways are yet to apply.
    awaiting: BTreeSet<(u64, ObjectKey)>,
    /// When to look at an Ingress again.
    wakes: BTreeSet<(Instant, ObjectKey)>,
    /// Ingresses to look at.
    stirred: BTreeSet<ObjectKey>,
    /// Revisions that not every gateway has applied.
    published: BTreeMap<u64, Instant>,
    slices: BTreeMap<ObjectKey, Vec<GatewayEndpoint>>,
    fleet: FleetView,
    refused: BTreeMap<ObjectKey, GatewayRefusal>,
    quorum: Quorum,
    leads: bool,
    leads_since: Instant,
    running: JoinSet<Done>,
    owners: HashMap<Id, (ObjectKey, Work)>,
    writes: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

impl<P: Confirm> Reporter<P> {
    pub(crate) fn new(client: Client, options: &Options, prober: P, health: Arc<Health>) -> Self {
        Self {
            herald: Herald::start(client.clone(), options.instance.clone()),
            client,
            prober: Arc::new(prober),
            addresses: Addresses::of(options),
            health,
            entries: BTreeMap::new(),
            awaiting: BTreeSet::new(),
            wakes: BTreeSet::new(),
            stirred: BTreeSet::new(),
            published: BTreeMap::new(),
            slices: BTreeMap::new(),
            fleet: FleetView::default(),
            refused: BTreeMap::new(),
            quorum: Quorum::default(),
            leads: false,
            leads_since: Instant::now(),
            running: JoinSet::new(),
            owners: HashMap::new(),
            writes: Arc::new(Semaphore::new(WRITES)),
            probes: Arc::new(Semaphore::new(PROBES)),
        }
    }

    /// Reports until the loop is gone.
    pub(crate) async fn run(
        mut self,
        mut reports: mpsc::UnboundedReceiver<Report>,
        mut fleet: watch::Receiver<FleetView>,
        mut leader: watch::Receiver<bool>,
    ) {
        let (mut hears_fleet, mut hears_leader) = (true, true);
        let now = fleet.borrow_and_update().clone();
        self.see_fleet(now);
        let leads = *leader.borrow_and_update();
        self.lead(leads);
        loop {
            self.look();
            let wake = self.wakes.first().map(|(at, _)| *at);
            tokio::select! {
                report = reports.recv() => {
                    let Some(report) = report else { return };
                    self.take(report);
                    while let Ok(report) = reports.try_recv() {
                        self.take(report);
                    }
                }
                changed = fleet.changed(), if hears_fleet => {
                    hears_fleet = changed.is_ok();
                    let now = fleet.borrow_and_update().clone();
                    self.see_fleet(now);
                }
                changed = leader.changed(), if hears_leader => {
                    hears_leader = changed.is_ok();
                    // Nobody says any more that this replica leads: it does not.
                    let leads = hears_leader && *leader.borrow_and_update();
                    self.lead(leads);
                }
                Some(done) = self.running.join_next_with_id() => self.finish(done),
                () = sleep_until(wake) => self.wake(),
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Stored(key, stored) => {
                self.entries.entry(key.clone()).or_default().see(stored);
                self.stirred.insert(key);
            }
            Report::Judged(key, judged) => {
                let entry = self.entries.entry(key.clone()).or_default();
                let before = entry.reasons();
                entry.judge(judged);
                self.health.rejected(&before, &entry.reasons());
                self.stirred.insert(key);
            }
            Report::Gone(key) => self.forget(&key),
            Report::Published(revision, since) => {
                // Only who leads has every gateway's word, by which these go again.
                if self.leads {
                    self.published.entry(revision).or_insert(since);
                    if self.published.len() > PUBLISHED {
                        self.published.pop_first();
                    }
                }
                self.health.count(|counts| counts.revision = revision);
                self.settle_published();
            }
            Report::Gateways(slices) => {
                self.slices = slices;
                self.gather_quorum();
            }
            Report::Asked(question) => {
                // What came before it may have changed what there is to say.
                self.look();
                self.answer(question);
            }
        }
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.stirred.remove(key);
        let Some(mut entry) = self.entries.remove(key) else {
            return;
        };
        entry.stop_probing();
        self.health.rejected(&entry.reasons(), &[]);
        self.health.moved(entry.state, None);
        if let Some(revision) = entry.awaiting {
            self.awaiting.remove(&(revision, key.clone()));
        }
        if let Some(at) = entry.wake {
            self.wakes.remove(&(at, key.clone()));
        }
    }

    fn lead(&mut self, leads: bool) {
        self.health.count(|counts| counts.leads = leads);
        if leads == self.leads {
            return;
        }
        self.leads = leads;
        self.published.clear();
        self.leads_since = Instant::now();
        if !leads {
            self.entries.values_mut().for_each(Entry::stop_probing);
        }
        self.stirred.extend(self.entries.keys().cloned());
    }

    fn see_fleet(&mut self, fleet: FleetView) {
        if fleet.refused != self.fleet.refused {
            let mut refused = BTreeMap::new();
            for refusal in &fleet.refused {
                match &refusal.ingress {
                    Some(ingress) => {
                        refused.entry(ingress.clone()).or_insert(refusal.clone());
                    }
                    None => tracing::error!(
                        kind = refusal.kind,
                        name = refusal.name,
                        gateway = refusal.gateway,
                        "a gateway refused what several ingresses share: {}",
                        refusal.detail
                    ),
                }
            }
            let before = std::mem::replace(&mut self.refused, refused);
            let keys: BTreeSet<&ObjectKey> = before.keys().chain(self.refused.keys()).collect();
            let changed = keys
                .into_iter()
                .filter(|key| before.get(*key) != self.refused.get(*key));
            self.stirred.extend(changed.cloned());
        }
        self.fleet = fleet;
        self.gather_quorum();
    }

    fn gather_quorum(&mut self) {
        let quorum = Quorum::of(&self.slices, &self.fleet);
        if quorum == self.quorum {
            return;
        }
        if quorum.floor.is_some() == self.quorum.floor.is_some() {
            let ready = self
                .awaiting
                .iter()
                .take_while(|(revision, _)| quorum.has_applied(*revision) == Some(true));
            self.stirred.extend(ready.map(|(_, key)| key.clone()));
        } else {
            // There is a gateway, or there is none any more: that is to be said.
            let all = self.awaiting.iter().map(|(_, key)| key.clone());
            self.stirred.extend(all);
        }
        self.quorum = quorum;
        let gateways = self.quorum.gateways as u64;
        self.health.count(|counts| counts.gateways = gateways);
        self.settle_published();
    }

    fn settle_published(&mut self) {
        while let Some(first) = self.published.first_entry()
            && self.quorum.has_applied(*first.key()) == Some(true)
        {
            let since = first.remove();
            self.health.propagated(since.elapsed());
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((at, _)) = self.wakes.first()
            && *at <= now
            && let Some((_, key)) = self.wakes.pop_first()
        {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.wake = None;
            }
            self.stirred.insert(key);
        }
    }

    /// Looks at every Ingress that something stirred.
    fn look(&mut self) {
        let now = Instant::now();
        let time = Timestamp::now();
        while let Some(key) = self.stirred.pop_first() {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            let next = entry.next(&Scene {
                quorum: &self.quorum,
                slices: &self.slices,
                fleet: &self.fleet,
                refusal: self.refused.get(&key),
                addresses: &self.addresses,
                leads_since: self.leads_since,
                now,
                time,
            });
            self.follow(key, next);
        }
        let awaiting = self.awaiting.len() as u64;
        let running = self.owners.len() as u64;
        self.health.count(|counts| {
            counts.awaiting_gateways = awaiting;
            counts.running = running;
        });
    }

    fn follow(&mut self, key: ObjectKey, next: Next) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if entry.state != next.state {
            self.health.moved(entry.state, next.state);
            entry.state = next.state;
            if next.state == Some(IngressState::Ready)
                && let Some(since) = entry.first_ready()
            {
                self.health.became_ready(since.elapsed());
            }
        }
        let awaiting = match next.wait {
            Wait::Revision(revision) => Some(revision),
            Wait::Nothing | Wait::Probe => None,
        };
        if awaiting != entry.awaiting {
            if let Some(revision) = entry.awaiting {
                self.awaiting.remove(&(revision, key.clone()));
            }
            if let Some(revision) = awaiting {
                self.awaiting.insert((revision, key.clone()));
            }
            entry.awaiting = awaiting;
        }
        if next.wake != entry.wake {
            if let Some(at) = entry.wake {
                self.wakes.remove(&(at, key.clone()));
            }
            // Who does not lead does nothing later either.
            entry.wake = next.wake.filter(|_| self.leads);
            if let Some(at) = entry.wake {
                self.wakes.insert((at, key.clone()));
            }
        }
        if !self.leads {
            return;
        }
        for notice in entry.notices(&key, self.refused.get(&key)) {
            self.herald.tell(notice);
        }
        if next.wait == Wait::Probe && entry.probing.is_none() {
            self.start_probe(&key);
        }
        if let Some(status) = next.write {
            self.start_write(key, status);
        }
    }

    fn start_probe(&mut self, key: &ObjectKey) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Some(judged) = &entry.judged else { return };
        let targets = targets::of(judged.plan.as_deref(), &self.quorum.addresses);
        let (revision, generation) = (judged.revision, judged.generation);
        let prober = Arc::clone(&self.prober);
        let turn = Arc::clone(&self.probes);
        let span = tracing::debug_span!("probe", ingress = %key, generation, revision);
        let probed = async move {
            // Never closed; without a turn there is still something to ask.
            let _turn = turn.acquire_owned().await.ok();
            Done::Probed {
                revision,
                generation,
                result: prober.confirm(targets).await,
            }
        };
        let handle = self.running.spawn(probed.instrument(span));
        self.health.count(|counts| counts.started += 1);
        self.owners.insert(handle.id(), (key.clone(), Work::Probe));
        entry.probing = Some(handle);
    }

    fn start_write(&mut self, key: ObjectKey, status: IngressStatus) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let Some(stored) = &entry.stored else { return };
        let write = Write {
            client: self.client.clone(),
            key: key.clone(),
            resource_version: stored.resource_version.clone(),
            status,
        };
        entry.writing = true;
        let turn = Arc::clone(&self.writes);
        let span = tracing::debug_span!("write status", ingress = %key);
        let written = async move {
            let _turn = turn.acquire_owned().await.ok();
            Done::Written(write.run().await)
        };
        let handle = self.running.spawn(written.instrument(span));
        self.health.count(|counts| counts.started += 1);
        self.owners.insert(handle.id(), (key, Work::Write));
    }

    fn finish(&mut self, done: Result<(Id, Done), tokio::task::JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((key, work)) = self.owners.remove(&id) else {
            return;
        };
        let now = Instant::now();
        let health = &self.health;
        let entry = self.entries.get_mut(&key);
        match (done, entry) {
            (Err(error), entry) => {
                if error.is_panic() {
                    tracing::error!(ingress = %key, "a {work:?} broke off: {error}");
                }
                if let Some(entry) = entry {
                    entry.broke_off(work, id, now);
                }
            }
            // Whatever came of it, nobody asks any more.
            (Ok(_), None) => return,
            (
                Ok((
                    _,
                    Done::Probed {
                        revision,
                        generation,
                        result,
                    },
                )),
                Some(entry),
            ) => {
                if entry.is_probing(id) {
                    entry.probing = None;
                    if let Err(error) = &result {
                        health.count(|counts| counts.probe_failures += 1);
                        tracing::debug!(ingress = %key, revision, "not confirmed: {error}");
                    }
                    let failure = result.err().map(|error| error.to_string());
                    entry.probed(revision, generation, failure, now);
                }
            }
            (Ok((_, Done::Written(written))), Some(entry)) => {
                health.count(|counts| match &written {
                    Written::Done(_) => counts.status_writes += 1,
                    Written::Conflict(_) => counts.status_conflicts += 1,
                    Written::Failed(_) => counts.status_failures += 1,
                    Written::Gone => {}
                });
                if let Written::Failed(error) = &written {
                    tracing::warn!(ingress = %key, "the status is not written: {error}");
                }
                entry.written(written, now);
            }
        }
        self.stirred.insert(key);
    }
}

/// Reasons of rejections, for counting.
fn reasons(verdict: &sluice_ir::Verdict) -> Vec<Reason> {
    verdict
        .rejections
        .iter()
        .map(|rejection| rejection.reason)
        .collect()
}

/// Until a moment, or for ever.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
