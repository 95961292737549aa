//! The loop: gather → translate → publish, and what it tells the reporter.
//!
//! One task holds the world. It waits for nothing but events: what gateways and
//! the API server make of it comes back to the reporter, never here.

mod emptied;
#[cfg(test)]
mod emptied_tests;
mod hold;
mod own_certificate;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sluice_crds::ObjectMeta;
use sluice_ir::{ObjectKey, Verdict};
use sluice_translate::{Changes, Object, ObjectKind, World};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::emptied::Emptied;
use self::hold::Holds;
use self::own_certificate::OwnCertificate;
use self::trust::Trust;
use crate::config::Settings;
use crate::gateways::Gateways;
use crate::health::Health;
use crate::inspect::{Planned, Question};
use crate::report::{Judged, Report, sleep_until};
use crate::watch::{
    BESIDE_ANNOTATION, CLASS_ANNOTATION, GatewayEndpoint, Input, Queued, SeenIngress, Source,
};

/// Events waiting for the loop; watches wait beyond.
pub(crate) const INPUTS: usize = 4096;
/// How often certificates are judged by the time it is.
const CLOCK: Duration = Duration::from_secs(60);
/// How often the loop shows that it runs.
const BEAT: Duration = Duration::from_secs(1);
/// As many events at once are a burst: the next ones are a moment away, and one
/// publication for all is cheaper for every gateway.
const BURST: usize = 32;
/// How long a burst is gathered.
const GATHER: Duration = Duration::from_millis(10);

/// One Ingress of Sluice's class; those that are served beside another are not tracked.
#[derive(Debug)]
struct Tracked {
    uid: String,
    metadata: ObjectMeta,
    /// The revision since which its plan stands.
    revision: u64,
    verdict: Option<Verdict>,
}

/// The loop.
pub(crate) struct Control {
    class: String,
    world: World,
    gateways: Arc<dyn Gateways>,
    reports: mpsc::UnboundedSender<Report>,
    health: Arc<Health>,
    tracked: BTreeMap<ObjectKey, Tracked>,
    /// Ingresses of another class that are served all the same; nothing is said of them.
    beside: BTreeSet<ObjectKey>,
    slices: BTreeMap<ObjectKey, Vec<GatewayEndpoint>>,
    settings: Settings,
    trust: Trust,
    own_certificate: OwnCertificate,
    holds: Holds,
    emptied: Emptied,
    listed: BTreeSet<Source>,
    /// Ingresses that came anew since the last settling.
    touched: BTreeSet<ObjectKey>,
    slices_differ: bool,
    settings_differ: bool,
    opened: bool,
    revision: u64,
}

impl Control {
    pub(crate) fn new(
        class: String,
        namespace: &str,
        system_namespace: &str,
        world: World,
        gateways: Arc<dyn Gateways>,
        reports: mpsc::UnboundedSender<Report>,
        health: Arc<Health>,
    ) -> Self {
        Self {
            class,
            world,
            gateways,
            reports,
            health,
            tracked: BTreeMap::new(),
            beside: BTreeSet::new(),
            slices: BTreeMap::new(),
            settings: Settings::default(),
            trust: Trust::default(),
            own_certificate: OwnCertificate::new(namespace),
            holds: Holds::default(),
            emptied: Emptied::new(system_namespace),
            listed: BTreeSet::new(),
            touched: BTreeSet::new(),
            slices_differ: false,
            settings_differ: true,
            opened: false,
            revision: 0,
        }
    }

    /// Goes round until every watch is gone.
    pub(crate) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Queued>,
        mut questions: mpsc::Receiver<Question>,
    ) {
        let mut clock = tokio::time::interval_at(Instant::now() + CLOCK, CLOCK);
        let mut beat = tokio::time::interval(BEAT);
        loop {
            self.health.beat();
            let queued = inputs.len() as u64;
            self.health.count(|counts| counts.queued_events = queued);
            tokio::select! {
                input = inputs.recv() => {
                    let Some(input) = input else { return };
                    let since = input.since;
                    self.take_queued(input);
                    self.gather(&mut inputs).await;
                    self.settle(since);
                    self.health.settled();
                }
                () = sleep_until(self.next_end()) => self.settle(Instant::now()),
                _ = clock.tick() => {
                    self.world.set_now(Timestamp::now());
                    self.settle(Instant::now());
                }
                Some(question) = questions.recv() => self.pass_on(question),
                _ = beat.tick() => {}
            }
        }
    }

    /// When the first of what waits has waited long enough.
    fn next_end(&self) -> Option<Instant> {
        // Until then nothing is settled, and an end that has passed would come again at once.
        if self.listed.len() < Source::ALL.len() {
            return None;
        }
        let ends = [self.holds.first_end(), self.emptied.first_end()];
        ends.into_iter().flatten().min()
    }

    /// Takes what is there; of a burst also what comes within a moment.
    async fn gather(&mut self, inputs: &mut mpsc::Receiver<Queued>) {
        let begun = Instant::now();
        let mut taken = 1_usize;
        loop {
            while taken < INPUTS
                && let Ok(input) = inputs.try_recv()
            {
                self.take_queued(input);
                taken += 1;
            }
            if !(BURST..INPUTS).contains(&taken) {
                return;
            }
            match tokio::time::timeout_at(begun + GATHER, inputs.recv()).await {
                Ok(Some(input)) => self.take_queued(input),
                Ok(None) | Err(_) => return,
            }
            taken += 1;
        }
    }

    fn take_queued(&mut self, queued: Queued) {
        self.health.took(queued.since.elapsed());
        self.take(queued.input);
    }

    pub(crate) fn take(&mut self, input: Input) {
        match input {
            Input::Ingress(seen) => self.take_ingress(*seen),
            Input::IngressGone(key) => self.forget(&key),
            Input::Object(object) => {
                if let Object::Secret(secret) = &object {
                    self.own_certificate.take(&object.key(), Some(secret));
                }
                self.holds.see(&object);
                if let Some(object) = self.emptied.offer(object, &self.world, Instant::now()) {
                    self.world.apply(object);
                }
            }
            Input::ObjectGone(kind, key) => {
                if kind == ObjectKind::Secret {
                    self.own_certificate.take(&key, None);
                }
                if kind == ObjectKind::Endpoints {
                    self.emptied.forget(&key);
                }
                self.world.delete(kind, &key);
            }
            Input::ConfigMap(source, data) => self.take_settings(source, data.as_ref()),
            Input::Roots(place, roots) => self.trust.take(place, roots),
            Input::GatewaySlice(key, gateways) => {
                let before = match gateways.clone() {
                    Some(gateways) => self.slices.insert(key, gateways),
                    None => self.slices.remove(&key),
                };
                self.slices_differ |= before != gateways;
            }
            Input::Listed(source) => {
                self.listed.insert(source);
                self.health.listed(source);
            }
        }
    }

    fn take_ingress(&mut self, seen: SeenIngress) {
        let SeenIngress { ingress, stored } = seen;
        let key = ObjectKey::new(&*ingress.metadata.namespace, &*ingress.metadata.name);
        let annotation = |name: &str| ingress.metadata.annotations.get(name);
        if annotation(CLASS_ANNOTATION).is_none_or(|class| *class != self.class) {
            match annotation(BESIDE_ANNOTATION) {
                Some(beside) if beside == "true" => self.take_beside(key, ingress),
                _ => self.forget(&key),
            }
            return;
        }
        self.beside.remove(&key);
        let known = self.tracked.get_mut(&key);
        // A status that was written comes back as an event of its Ingress; what
        // plans are made from shows in the generation and in the metadata.
        let is_known = known.as_ref().is_some_and(|known| {
            known.uid == stored.uid
                && known.metadata == ingress.metadata
                && ingress.metadata.generation != 0
        });
        if !is_known {
            match known {
                Some(known) => {
                    known.uid.clone_from(&stored.uid);
                    known.metadata = ingress.metadata.clone();
                }
                None => {
                    let tracked = Tracked {
                        uid: stored.uid.clone(),
                        metadata: ingress.metadata.clone(),
                        // Until its plan differs from what was published before.
                        revision: self.revision,
                        verdict: None,
                    };
                    self.tracked.insert(key.clone(), tracked);
                }
            }
            self.offer(&key, ingress);
        }
        self.report(Report::Stored(key, stored));
    }

    /// Serves an Ingress whose status another ingress writes. What was served of it
    /// before its class changed is served on.
    fn take_beside(&mut self, key: ObjectKey, ingress: sluice_crds::Ingress) {
        self.disown(&key);
        self.offer(&key, ingress);
        self.beside.insert(key);
    }

    /// Has a generation translated, once its backends are known.
    fn offer(&mut self, key: &ObjectKey, ingress: sluice_crds::Ingress) {
        let now = Instant::now();
        if let Some(ingress) = self.holds.offer(key, ingress, &self.world, now) {
            self.take_up(key.clone(), ingress);
        }
    }

    /// Has a generation translated.
    fn take_up(&mut self, key: ObjectKey, ingress: sluice_crds::Ingress) {
        self.touched.insert(key);
        self.world.apply(Object::Ingress(ingress));
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.holds.forget(key);
        let was_beside = self.beside.remove(key);
        if self.disown(key) || was_beside {
            self.world.delete(ObjectKind::Ingress, key);
        }
    }

    /// Says nothing of an Ingress any more; true where something was said.
    fn disown(&mut self, key: &ObjectKey) -> bool {
        let was_tracked = self.tracked.remove(key).is_some();
        if was_tracked {
            self.touched.remove(key);
            self.report(Report::Gone(key.clone()));
        }
        was_tracked
    }

    fn take_settings(&mut self, source: Source, data: Option<&BTreeMap<String, String>>) {
        let before = self.settings.clone();
        let faults = match source {
            Source::ConfigNetwork => self.settings.read_network(data),
            Source::ConfigSluice => self.settings.read_sluice(data),
            Source::ConfigObservability => self.settings.read_observability(data),
            _ => Vec::new(),
        };
        for fault in faults {
            tracing::warn!("{fault}");
        }
        self.settings_differ |= self.settings != before;
    }

    /// Publishes what differs. Before every resource was listed nothing does: a
    /// start never sends an emptier world than it found.
    pub(crate) fn settle(&mut self, since: Instant) {
        if self.listed.len() < Source::ALL.len() {
            return;
        }
        if std::mem::take(&mut self.settings_differ) {
            self.gateways.configure(&self.settings);
        }
        let chosen = self.settings.internal_certificate.as_deref();
        if let Some(certificates) = self.own_certificate.settle(chosen) {
            self.gateways.certificates(certificates);
        }
        // Before any cluster that asks for them.
        let trusted = self.trust.settle(self.settings.system_internal_tls);
        if let Some(roots) = trusted.roots {
            self.gateways.trust(roots);
        }
        self.world.set_backends(trusted.backends);
        if std::mem::take(&mut self.slices_differ) {
            self.report(Report::Gateways(self.slices.clone()));
        }
        for object in self.emptied.release(Instant::now()) {
            self.world.apply(object);
        }
        for ingress in self.holds.release(&self.world, Instant::now()) {
            let metadata = &ingress.metadata;
            let key = ObjectKey::new(&*metadata.namespace, &*metadata.name);
            self.take_up(key, ingress);
        }
        let span = tracing::debug_span!(
            "settle",
            ingresses = tracing::field::Empty,
            revision = tracing::field::Empty,
            waited_ms = since.elapsed().as_millis() as u64,
        );
        let _settling = span.enter();
        let changes = self.world.settle();
        span.record("ingresses", changes.plans.len());
        let first = !std::mem::replace(&mut self.opened, true);
        if first || !changes.is_empty() {
            self.publish(changes, since);
            span.record("revision", self.revision);
        }
        for key in std::mem::take(&mut self.touched) {
            self.report_verdict(key, since);
        }
        if first {
            tracing::info!(
                ingresses = self.tracked.len(),
                revision = self.revision,
                "every resource is listed, the whole world is published"
            );
            self.health.opened();
        }
    }

    fn publish(&mut self, changes: Changes, since: Instant) {
        let planned: Vec<ObjectKey> = changes.plans.keys().cloned().collect();
        for (key, verdict) in &changes.verdicts {
            if let Some(tracked) = self.tracked.get_mut(key) {
                tracked.verdict = Some(verdict.clone());
                self.touched.insert(key.clone());
            }
        }
        self.revision = self.gateways.publish(changes);
        for key in planned {
            if let Some(tracked) = self.tracked.get_mut(&key) {
                tracked.revision = self.revision;
                self.touched.insert(key);
            }
        }
        self.report(Report::Published(self.revision, since));
    }

    fn report_verdict(&self, key: ObjectKey, since: Instant) {
        // Of the generation that waits there is no verdict, and nobody asks for one of
        // the generation before.
        if self.holds.has(&key) {
            return;
        }
        let Some(tracked) = self.tracked.get(&key) else {
            return;
        };
        // One that left and came back between two settlings has the verdict that
        // it had, which is no change.
        let known = || self.world.verdicts().find(|(known, _)| **known == key);
        let verdict = tracked.verdict.as_ref().or_else(|| Some(known()?.1));
        let Some(verdict) = verdict.cloned() else {
            return;
        };
        let judged = Judged {
            generation: tracked.metadata.generation,
            revision: tracked.revision,
            verdict,
            plan: self.world.plan(&key).cloned(),
            since,
        };
        self.report(Report::Judged(key, judged));
    }

    /// Adds what only the loop knows; the rest is the reporter's.
    fn pass_on(&self, mut question: Question) {
        if let Question::Ingress { key, planned, .. } = &mut question {
            *planned = self.world.plan(key).map(|plan| Planned {
                plan: Arc::clone(plan),
                endpoints: plan
                    .clusters
                    .keys()
                    .filter_map(|port| Some((port.clone(), self.world.endpoints_of(port)?.clone())))
                    .collect(),
            });
        }
        self.report(Report::Asked(question));
    }

    fn report(&self, report: Report) {
        // A reporter that is gone ends the controller, which notices by itself.
        let _ = self.reports.send(report);
    }
}
