//! What the controller says of itself: to probes, and to those who measure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluice_ir::Reason;
use tokio::sync::Notify;

use crate::watch::Source;

/// Upper bounds of the buckets of a [`Histogram`], in seconds.
pub const BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What became of an Ingress, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IngressState {
    /// Every gateway serves it.
    Ready,
    /// Not every gateway is known to serve it.
    Waiting,
    /// There is no gateway.
    NoGateway,
    /// Served but for what its rejections name.
    Partial,
    /// This generation is not served.
    Refused,
    /// A gateway refused what was built for it.
    GatewayRefused,
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many took at most [`BUCKETS`] of the same index; not cumulative.
    pub buckets: [u64; BUCKETS.len()],
    /// How many took longer than the last bound.
    pub longer: u64,
    /// Seconds in all.
    pub sum: f64,
}

impl Histogram {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.longer
    }

    fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.sum += seconds;
        match BUCKETS.iter().position(|bound| seconds <= *bound) {
            Some(index) => self.buckets[index] += 1,
            None => self.longer += 1,
        }
    }
}

/// All that is counted, as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Ingresses of Sluice's class by what became of them.
    pub ingresses: BTreeMap<IngressState, u64>,
    /// Rejections that stand, by reason.
    pub rejections: BTreeMap<Reason, u64>,
    /// Events by resource since the start, those of lists included.
    pub watch_events: BTreeMap<Source, u64>,
    /// Refused or broken lists and watches by resource since the start.
    pub watch_failures: BTreeMap<Source, u64>,
    /// The revision published last.
    pub revision: u64,
    /// Gateways that have to agree.
    pub gateways: u64,
    /// From the first event of a change until every gateway had applied it.
    pub propagation: Histogram,
    /// From the first event of a generation until it was found to be served.
    pub readiness: Histogram,
    /// Events that the loop has not taken yet.
    pub queued_events: u64,
    /// Events that the loop has taken since the start.
    pub taken_events: u64,
    /// How long events waited for the loop.
    pub waited: Histogram,
    /// How long the loop took for what it had taken at once.
    pub processed: Histogram,
    /// How long the loop has been at what it took last; nothing while it waits.
    pub busy: Duration,
    /// Ingresses that wait for gateways to apply a revision.
    pub awaiting_gateways: u64,
    /// Probes and status writes that run or wait for their turn.
    pub running: u64,
    /// Probes and status writes since the start.
    pub started: u64,
    /// Statuses written.
    pub status_writes: u64,
    /// Statuses that someone else had changed meanwhile.
    pub status_conflicts: u64,
    /// Statuses that could not be written, each try.
    pub status_failures: u64,
    /// Probes that did not find what they should, each try.
    pub probe_failures: u64,
    /// Whether this replica writes statuses.
    pub leads: bool,
}

#[derive(Debug)]
struct State {
    beat: Instant,
    listed: BTreeSet<Source>,
    complaints: BTreeMap<Source, String>,
    opened: bool,
    busy_since: Option<Instant>,
    snapshot: Snapshot,
}

/// What the controller says of itself. Shared with whoever serves probes and
/// metrics; nothing here waits.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    open: Notify,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                beat: Instant::now(),
                listed: BTreeSet::new(),
                complaints: BTreeMap::new(),
                opened: false,
                busy_since: None,
                snapshot: Snapshot::default(),
            }),
            open: Notify::new(),
        }
    }
}

impl Health {
    /// When the loop last came round. It does so every second, whatever happens:
    /// one that is a minute behind hangs.
    #[must_use]
    pub fn last_beat(&self) -> Instant {
        self.state().beat
    }

    /// Whether every resource was listed and every Ingress was tried, so that
    /// gateways may be answered.
    ///
    /// # Errors
    /// What is missing, one line each.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let state = self.state();
        let mut missing: Vec<String> = Source::ALL
            .iter()
            .filter(|source| !state.listed.contains(source))
            .map(|source| match state.complaints.get(source) {
                Some(complaint) => format!("{source}: {complaint}"),
                None => format!("{source}: not listed yet"),
            })
            .collect();
        if missing.is_empty() && !state.opened {
            missing.push("ingresses: not all are translated yet".into());
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    /// Watches that fail just now, though what they told before still counts.
    #[must_use]
    pub fn complaints(&self) -> BTreeMap<Source, String> {
        self.state().complaints.clone()
    }

    /// All that is counted.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let busy = state.busy_since.map(|since| since.elapsed());
        Snapshot {
            busy: busy.unwrap_or_default(),
            ..state.snapshot.clone()
        }
    }

    pub(crate) fn beat(&self) {
        self.state().beat = Instant::now();
    }

    pub(crate) fn listed(&self, source: Source) {
        self.state().listed.insert(source);
    }

    pub(crate) fn opened(&self) {
        self.state().opened = true;
        self.open.notify_waiters();
    }

    /// Waits until every resource was listed and every Ingress was tried.
    pub async fn until_open(&self) {
        let opened = self.open.notified();
        if !self.state().opened {
            opened.await;
        }
    }

    pub(crate) fn watch_event(&self, source: Source) {
        let mut state = self.state();
        state.complaints.remove(&source);
        *state.snapshot.watch_events.entry(source).or_default() += 1;
    }

    pub(crate) fn watch_failed(&self, source: Source, complaint: String) {
        let mut state = self.state();
        state.complaints.insert(source, complaint);
        *state.snapshot.watch_failures.entry(source).or_default() += 1;
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.state().snapshot);
    }

    /// The loop took an event that waited so long.
    pub(crate) fn took(&self, waited: Duration) {
        let mut state = self.state();
        state.busy_since.get_or_insert_with(Instant::now);
        state.snapshot.taken_events += 1;
        state.snapshot.waited.observe(waited);
    }

    /// The loop is done with all that it took.
    pub(crate) fn settled(&self) {
        let mut state = self.state();
        if let Some(since) = state.busy_since.take() {
            state.snapshot.processed.observe(since.elapsed());
        }
    }

    pub(crate) fn propagated(&self, took: Duration) {
        self.state().snapshot.propagation.observe(took);
    }

    pub(crate) fn became_ready(&self, took: Duration) {
        self.state().snapshot.readiness.observe(took);
    }

    /// One Ingress less and one more; what comes to nothing is left out.
    pub(crate) fn moved(&self, from: Option<IngressState>, to: Option<IngressState>) {
        if from == to {
            return;
        }
        let counts = &mut self.state().snapshot.ingresses;
        shift(counts, from, to);
    }

    pub(crate) fn rejected(&self, before: &[Reason], after: &[Reason]) {
        let counts = &mut self.state().snapshot.rejections;
        for reason in before {
            shift(counts, Some(*reason), None);
        }
        for reason in after {
            shift(counts, None, Some(*reason));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole at each step: a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shift<K: Ord + Copy>(counts: &mut BTreeMap<K, u64>, from: Option<K>, to: Option<K>) {
    if let Some(from) = from
        && let Some(count) = counts.get_mut(&from)
    {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&from);
        }
    }
    if let Some(to) = to {
        *counts.entry(to).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_once_all_is_listed_and_tried_and_says_what_is_missing() {
        let health = Health::default();
        assert_eq!(health.ready().unwrap_err().len(), Source::ALL.len());
        health.watch_failed(Source::Secrets, "cannot list secrets".into());
        for source in Source::ALL {
            if source != Source::Secrets {
                health.listed(source);
            }
        }
        let missing = health.ready().unwrap_err();
        assert_eq!(missing, ["secrets: cannot list secrets"]);
        health.watch_event(Source::Secrets);
        health.listed(Source::Secrets);
        let missing = health.ready().unwrap_err();
        assert_eq!(missing, ["ingresses: not all are translated yet"]);
        health.opened();
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_watch_that_breaks_later_leaves_it_ready() {
        let health = Health::default();
        Source::ALL.iter().for_each(|source| health.listed(*source));
        health.opened();
        health.watch_failed(Source::Services, "cannot watch services".into());
        assert_eq!(health.ready(), Ok(()));
        assert_eq!(health.complaints().len(), 1);
        health.watch_event(Source::Services);
        assert!(health.complaints().is_empty());
        let snapshot = health.snapshot();
        assert_eq!(snapshot.watch_failures[&Source::Services], 1);
        assert_eq!(snapshot.watch_events[&Source::Services], 1);
    }

    #[test]
    fn ingresses_and_reasons_are_counted_as_they_stand() {
        let health = Health::default();
        health.moved(None, Some(IngressState::Waiting));
        health.moved(None, Some(IngressState::Waiting));
        health.moved(Some(IngressState::Waiting), Some(IngressState::Ready));
        health.rejected(&[], &[Reason::ServiceMissing, Reason::ServiceMissing]);
        health.rejected(
            &[Reason::ServiceMissing, Reason::ServiceMissing],
            &[Reason::ServiceMissing],
        );
        let snapshot = health.snapshot();
        assert_eq!(snapshot.ingresses[&IngressState::Waiting], 1);
        assert_eq!(snapshot.ingresses[&IngressState::Ready], 1);
        assert_eq!(snapshot.rejections[&Reason::ServiceMissing], 1);
        health.moved(Some(IngressState::Ready), None);
        health.rejected(&[Reason::ServiceMissing], &[]);
        let snapshot = health.snapshot();
        assert!(!snapshot.ingresses.contains_key(&IngressState::Ready));
        assert!(snapshot.rejections.is_empty());
    }

    #[test]
    fn a_histogram_counts_each_once() {
        let health = Health::default();
        for milliseconds in [5, 6, 31_000] {
            health.propagated(Duration::from_millis(milliseconds));
        }
        let propagation = health.snapshot().propagation;
        assert_eq!(propagation.buckets[0], 1);
        assert_eq!(propagation.buckets[1], 1);
        assert_eq!(propagation.longer, 1);
        assert_eq!(propagation.count(), 3);
    }
}
