//! gather → translate → build → publish → report: what a change of the folder
//! becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use sluice_envoy::{Assembly, Edge, Update, name};
use sluice_ir::ObjectKey;
use sluice_translate::{Changes, Config, World};
use sluice_xds::{Fleet, Publisher, Quarantined, Revision};
use tokio::time::Instant;

use crate::event::{Event, PlanView, RejectionView};
use crate::fault::Fault;
use crate::folder::{Change, Folder};
use crate::manifest::ObjectId;

/// Turns what the folder says into what gateways get, and says what happens.
pub(crate) struct Pipeline<S> {
    world: World,
    assembly: Assembly,
    publisher: Publisher,
    /// Published, but not acknowledged yet; with the first sign of each.
    pending: BTreeMap<Revision, Instant>,
    published: Revision,
    faults: BTreeSet<Fault>,
    quarantined: Vec<Quarantined>,
    sink: S,
}

impl<S: FnMut(Event)> Pipeline<S> {
    pub(crate) fn new(config: Config, edge: &Edge, publisher: Publisher, sink: S) -> Self {
        Self {
            world: World::new(config, Timestamp::now()),
            assembly: Assembly::new(edge),
            published: publisher.revision(),
            publisher,
            pending: BTreeMap::new(),
            faults: BTreeSet::new(),
            quarantined: Vec::new(),
            sink,
        }
    }

    /// Says that something happened.
    pub(crate) fn tell(&mut self, event: Event) {
        (self.sink)(event);
    }

    /// Publishes the whole world for the first time. `since`: when it began.
    pub(crate) fn open(&mut self, change: Change, folder: &Folder, since: Instant) {
        let listeners = self.assembly.initial();
        self.gather(change);
        let changes = self.world.settle();
        let mut update = self.build(&changes);
        update.upserts.splice(0..0, listeners.upserts);
        self.publish_and_report(changes, update, folder, since);
    }

    /// Publishes what a look at the folder changed. `since`: its first sign.
    pub(crate) fn follow(&mut self, change: Change, folder: &Folder, since: Instant) {
        self.gather(change);
        self.follow_world(folder, since);
    }

    /// Judges certificates by the time it is now.
    pub(crate) fn tick(&mut self, folder: &Folder) {
        self.world.set_now(Timestamp::now());
        self.follow_world(folder, Instant::now());
    }

    fn follow_world(&mut self, folder: &Folder, since: Instant) {
        let changes = self.world.settle();
        let update = self.build(&changes);
        self.publish_and_report(changes, update, folder, since);
    }

    fn gather(&mut self, change: Change) {
        for (kind, key) in &change.deleted {
            self.world.delete(*kind, key);
        }
        for object in change.applied {
            self.world.apply(Arc::unwrap_or_clone(object));
        }
        self.report_faults(change.faults);
    }

    fn build(&mut self, changes: &Changes) -> Update {
        self.assembly.apply(&changes.plans, &changes.endpoints)
    }

    fn publish_and_report(
        &mut self,
        changes: Changes,
        update: Update,
        folder: &Folder,
        since: Instant,
    ) {
        let revision = self.publisher.publish(update);
        if revision > self.published {
            self.published = revision;
            self.pending.insert(revision, since);
        }
        self.report(changes, folder, revision);
    }

    fn report(&mut self, changes: Changes, folder: &Folder, revision: Revision) {
        let Changes {
            mut plans,
            verdicts,
            endpoints,
        } = changes;
        for (ingress, verdict) in verdicts {
            let id = ObjectId::ingress(&ingress);
            let file = match verdict.rejections.is_empty() {
                true => None,
                false => folder.file_of(&id),
            };
            self.tell(Event::Verdict {
                ingress: ingress.to_string(),
                outcome: verdict.outcome,
                rejections: RejectionView::of(
                    verdict.rejections,
                    &id,
                    file.as_ref()
                        .map(|(name, bytes)| (name.as_path(), bytes.as_slice())),
                ),
            });
            if let Some(plan) = plans.remove(&ingress) {
                self.report_plan(&ingress, &plan, revision);
            }
        }
        for (ingress, plan) in plans {
            self.report_plan(&ingress, &plan, revision);
        }
        for (service, endpoints) in endpoints {
            let event = Event::endpoints(&service, &endpoints, revision.0);
            self.tell(event);
        }
    }

    fn report_plan(
        &mut self,
        ingress: &ObjectKey,
        plan: &sluice_ir::PlanChange,
        revision: Revision,
    ) {
        self.tell(Event::Plan {
            ingress: ingress.to_string(),
            change: PlanView::of(plan),
            revision: revision.0,
        });
    }

    fn report_faults(&mut self, faults: Vec<Fault>) {
        let now: BTreeSet<Fault> = faults.into_iter().collect();
        let faulty: BTreeSet<PathBuf> = now.iter().map(|fault| fault.file.clone()).collect();
        let before = std::mem::take(&mut self.faults);
        let mended: BTreeSet<PathBuf> = before
            .iter()
            .map(|fault| fault.file.clone())
            .filter(|file| !faulty.contains(file))
            .collect();
        for file in mended {
            self.tell(Event::Mended { file });
        }
        for fault in now.difference(&before) {
            self.tell(Event::Fault(fault.clone()));
        }
        self.faults = now;
    }

    /// Says what the gateway acknowledged or refused since the last call.
    pub(crate) fn acknowledge(&mut self, fleet: &Fleet) {
        for refusal in &fleet.quarantined {
            if !self.quarantined.contains(refusal) {
                (self.sink)(Event::Refused {
                    kind: refusal.kind.to_string(),
                    name: refusal.name.clone(),
                    ingress: name::owner(refusal.kind, &refusal.name)
                        .filter(|owner| !owner.name.is_empty())
                        .map(|owner| owner.to_string()),
                    detail: refusal.detail.clone(),
                });
            }
        }
        self.quarantined.clone_from(&fleet.quarantined);
        while let Some(entry) = self.pending.first_entry()
            && fleet.has_acked(*entry.key())
        {
            let (revision, since) = entry.remove_entry();
            self.tell(Event::Applied {
                revision: revision.0,
                milliseconds: milliseconds(since),
            });
        }
    }
}

/// Milliseconds since an instant, to a tenth.
pub(crate) fn milliseconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
}
