//! One Ingress on its way to a status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sluice_ir::{ObjectKey, Outcome, Plan, Reason, Rejection, Verdict};
use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;

use super::Work;
use super::event::Notice;
use super::quorum::Quorum;
use super::write::Written;
use crate::gateways::{FleetView, GatewayRefusal};
use crate::health::IngressState;
use crate::status::{Addresses, Finding, IngressStatus};
use crate::watch::{GatewayEndpoint, Stored};

/// How long gateways may take before a status says that they are waited for. Most
/// are through sooner, and one write does for both.
const GRACE: Duration = Duration::from_millis(200);
/// How long gateways may take before a status names those that are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many of them it names.
const NAMED: usize = 3;
/// Rejections of one generation that become events.
const NOTICES: usize = 16;

/// What became of a generation.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) generation: i64,
    /// The revision since which its plan stands.
    pub(crate) revision: u64,
    pub(crate) verdict: Verdict,
    /// The newest plan that was not refused.
    pub(crate) plan: Option<Arc<Plan>>,
    /// The first sign of it.
    pub(crate) since: Instant,
}

/// How long to let something be that failed.
#[derive(Debug, Default)]
struct Pause {
    tries: u32,
    until: Option<Instant>,
}

impl Pause {
    /// 50 ms, doubled with each try, up to a bound.
    fn fail(&mut self, now: Instant, longest: Duration) {
        let pause = Duration::from_millis(50) * 2_u32.pow(self.tries.min(12));
        self.tries += 1;
        self.until = Some(now + pause.min(longest));
    }

    fn holds(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

/// The longest pause between two rounds of probes, and between two tries to write.
const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_WRITE_PAUSE: Duration = Duration::from_secs(30);

/// One Ingress on its way to a status.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) stored: Option<Stored>,
    pub(crate) judged: Option<Judged>,
    pub(crate) state: Option<IngressState>,
    /// The revision that gateways are yet to apply.
    pub(crate) awaiting: Option<u64>,
    /// When to look again.
    pub(crate) wake: Option<Instant>,
    pub(crate) probing: Option<AbortHandle>,
    pub(crate) writing: bool,
    /// Whether gateways confirmed what was judged last.
    confirmed: bool,
    /// What the last round of probes found instead.
    pub(crate) unconfirmed: Option<String>,
    probe_pause: Pause,
    write_pause: Pause,
    /// What of which generation events told.
    told: (i64, BTreeSet<(Reason, String)>),
    /// The generation that was counted as ready.
    counted: Option<i64>,
}

/// What decides beyond the Ingress itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) quorum: &'a Quorum,
    /// What names who of them is behind.
    pub(crate) slices: &'a BTreeMap<ObjectKey, Vec<GatewayEndpoint>>,
    pub(crate) fleet: &'a FleetView,
    /// Where a gateway refused what was built for the Ingress.
    pub(crate) refusal: Option<&'a GatewayRefusal>,
    pub(crate) addresses: &'a Addresses,
    /// Since when this replica asks gateways at all.
    pub(crate) leads_since: Instant,
    pub(crate) now: Instant,
    pub(crate) time: Timestamp,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Nothing,
    /// Until gateways applied this.
    Revision(u64),
    /// Until gateways answered.
    Probe,
}

/// What to do with an Ingress.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) state: Option<IngressState>,
    pub(crate) wait: Wait,
    pub(crate) write: Option<IngressStatus>,
    /// When to look again, if nothing happens before.
    pub(crate) wake: Option<Instant>,
}

impl Entry {
    /// Takes note of what the API server has.
    pub(crate) fn see(&mut self, stored: Stored) {
        match &self.stored {
            // A watch tells late of what a write already gave.
            Some(known) if stored.is_older_than(known) => return,
            Some(known) if known.uid != stored.uid => {
                self.told = (0, BTreeSet::new());
                self.counted = None;
            }
            _ => {}
        }
        self.stored = Some(stored);
    }

    /// Takes note of what became of a generation.
    pub(crate) fn judge(&mut self, judged: Judged) {
        let same = self.judged.as_ref().is_some_and(|before| {
            before.generation == judged.generation && before.revision == judged.revision
        });
        if !same {
            self.stop_probing();
            self.confirmed = false;
            self.unconfirmed = None;
            self.probe_pause = Pause::default();
            self.write_pause = Pause::default();
        }
        self.judged = Some(judged);
    }

    pub(crate) fn reasons(&self) -> Vec<Reason> {
        let judged = self.judged.as_ref();
        judged.map_or_else(Vec::new, |judged| super::reasons(&judged.verdict))
    }

    pub(crate) fn stop_probing(&mut self) {
        if let Some(probing) = self.probing.take() {
            probing.abort();
        }
    }

    pub(crate) fn is_probing(&self, id: Id) -> bool {
        self.probing.as_ref().is_some_and(|probe| probe.id() == id)
    }

    /// When the generation first showed, the first time that it is ready and was
    /// not so when this process first saw it.
    pub(crate) fn first_ready(&mut self) -> Option<Instant> {
        let judged = self.judged.as_ref()?;
        let is_new = self.counted != Some(judged.generation);
        self.counted = Some(judged.generation);
        (is_new && self.confirmed).then_some(judged.since)
    }

    /// What to do now.
    pub(crate) fn next(&self, scene: &Scene<'_>) -> Next {
        let Scene {
            quorum,
            refusal,
            addresses,
            leads_since,
            now,
            time,
            ..
        } = *scene;
        let nothing = Next {
            state: None,
            wait: Wait::Nothing,
            write: None,
            wake: None,
        };
        let (Some(stored), Some(judged)) = (&self.stored, &self.judged) else {
            return nothing;
        };
        if stored.generation != judged.generation {
            // The other half of the news is on its way.
            return Next {
                state: Some(IngressState::Waiting),
                ..nothing
            };
        }
        let generation = judged.generation;
        let patient_until = Some(judged.since.max(leads_since) + PATIENCE).filter(|end| *end > now);
        let missing = match patient_until {
            Some(_) => None,
            None => self.missing(judged.revision, scene),
        };
        let waiting = Finding::Waiting(missing.as_deref());
        let (finding, wait) = match Finding::at_once(&judged.verdict, refusal) {
            Some(finding) => (finding, Wait::Nothing),
            None if self.confirmed || stored.status.is_ready(generation) => {
                (Finding::Served, Wait::Nothing)
            }
            None => match quorum.has_applied(judged.revision) {
                None => (Finding::NoGateway, Wait::Revision(judged.revision)),
                Some(false) => (waiting, Wait::Revision(judged.revision)),
                Some(true) => (waiting, Wait::Probe),
            },
        };
        let mut next = Next {
            state: Some(state_of(finding)),
            wait,
            ..nothing
        };
        if wait == Wait::Probe
            && let Some(until) = self.probe_pause.holds(now)
        {
            next.wait = Wait::Nothing;
            next.wake = Some(until);
        }
        if matches!(finding, Finding::Waiting(_)) {
            next.wake = sooner(next.wake, patient_until);
        }
        let status = stored.status.to_say(generation, finding, addresses, time);
        if status == stored.status || self.writing {
            return next;
        }
        // What a gateway refused may be what this generation is about to replace.
        let waits = wait != Wait::Nothing || matches!(finding, Finding::GatewayRefused(_));
        let grace = Some(judged.since.max(leads_since) + GRACE).filter(|end| waits && *end > now);
        match self.write_pause.holds(now).max(grace) {
            // An earlier look for another reason will find this again.
            until @ Some(_) => next.wake = sooner(next.wake, until),
            None => next.write = Some(status),
        }
        next
    }

    /// What keeps gateways from being known to serve a revision.
    fn missing(&self, revision: u64, scene: &Scene<'_>) -> Option<String> {
        if scene.quorum.has_applied(revision) != Some(false) {
            let found = self.unconfirmed.as_ref()?;
            return Some(format!("a probe found {found}"));
        }
        let behind = Quorum::behind(scene.slices, scene.fleet, revision);
        let named = behind.iter().take(NAMED).map(String::as_str);
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match behind.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("not acknowledged yet by {named}{more}"))
    }

    /// What of the judged generation events have not told.
    pub(crate) fn notices(
        &mut self,
        key: &ObjectKey,
        refusal: Option<&GatewayRefusal>,
    ) -> Vec<Notice> {
        let (Some(stored), Some(judged)) = (&self.stored, &self.judged) else {
            return Vec::new();
        };
        if self.told.0 != judged.generation {
            self.told = (judged.generation, BTreeSet::new());
        }
        let told = &mut self.told.1;
        let mut notices = Vec::new();
        let by_gateway = refusal.map(rejection_of);
        for rejection in judged.verdict.rejections.iter().chain(&by_gateway) {
            if told.len() >= NOTICES {
                break;
            }
            if told.insert((rejection.reason, rejection.field.clone())) {
                notices.push(Notice {
                    ingress: key.clone(),
                    uid: stored.uid.clone(),
                    generation: judged.generation,
                    refused: judged.verdict.outcome == Outcome::Refused,
                    rejection: rejection.clone(),
                });
            }
        }
        notices
    }

    /// What a round of probes found.
    pub(crate) fn probed(
        &mut self,
        revision: u64,
        generation: i64,
        failure: Option<String>,
        now: Instant,
    ) {
        let is_asked = self
            .judged
            .as_ref()
            .is_some_and(|judged| judged.revision == revision && judged.generation == generation);
        if !is_asked {
            return;
        }
        self.confirmed |= failure.is_none();
        self.unconfirmed = failure;
        if self.unconfirmed.is_some() {
            self.probe_pause.fail(now, LONGEST_PROBE_PAUSE);
        }
    }

    /// What came of a write.
    pub(crate) fn written(&mut self, written: Written, now: Instant) {
        self.writing = false;
        match written {
            Written::Done(stored) => {
                self.write_pause = Pause::default();
                self.see(stored);
            }
            Written::Conflict(stored) => {
                // At most one try per answer, and a pause if it goes on.
                self.write_pause.fail(now, LONGEST_WRITE_PAUSE);
                self.see(stored);
            }
            Written::Gone => self.stored = None,
            Written::Failed(_) => self.write_pause.fail(now, LONGEST_WRITE_PAUSE),
        }
    }

    /// Work that ended without an answer.
    pub(crate) fn broke_off(&mut self, work: Work, id: Id, now: Instant) {
        match work {
            // One that was stopped has been taken already.
            Work::Probe if self.is_probing(id) => {
                self.probing = None;
                self.probe_pause.fail(now, LONGEST_PROBE_PAUSE);
            }
            Work::Probe => {}
            Work::Write => {
                self.writing = false;
                self.write_pause.fail(now, LONGEST_WRITE_PAUSE);
            }
        }
    }
}

/// The earlier of two moments.
fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

fn rejection_of(refusal: &GatewayRefusal) -> Rejection {
    let GatewayRefusal {
        kind,
        name,
        detail,
        gateway,
        ..
    } = refusal;
    Rejection {
        reason: Reason::GatewayRefused,
        field: "spec".into(),
        found: format!("{kind} {name}, refused by gateway {gateway}: {detail}"),
        expected: "what every gateway takes".into(),
        fix: "sluice should have said so before: report this".into(),
    }
}

fn state_of(finding: Finding<'_>) -> IngressState {
    match finding {
        Finding::Refused(_) => IngressState::Refused,
        Finding::GatewayRefused(_) => IngressState::GatewayRefused,
        Finding::Partial(_) => IngressState::Partial,
        Finding::NoGateway => IngressState::NoGateway,
        Finding::Waiting(_) => IngressState::Waiting,
        Finding::Served => IngressState::Ready,
    }
}
