//! The world as last seen, and what of it each Ingress needs.
//!
//! Events fill slim stores; [`World::settle`] gathers, for each Ingress that the
//! events touch and for no other, what it names, translates it whole and alone,
//! and says what differs from before. Pure and without I/O, so the operator and
//! `sluice dev` share it, and any order of events ends in the same plans.
//!
//! What touches what:
//!
//! ```text
//! Ingress ───────────────► itself, claimants of hosts whose owner changed,
//!                          Ingresses that rewrite to it or to such a host
//! Service ───────────────► Ingresses that name it, its clusters' endpoints
//! Secret  ───────────────► Ingresses that name it
//! Endpoints, slices ─────► endpoints of that Service's clusters, no Ingress
//! ```

mod claims;
mod emptied;
mod index;
mod stores;
#[cfg(test)]
mod tests;
mod unready;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;

use jiff::Timestamp;
use sluice_crds as crds;
use sluice_ir::{
    Endpoints, Host, ObjectKey, Plan, PlanChange, RefusedPlan, ServicePort, Side, Verdict,
};

use self::claims::Claims;
use self::index::{Index, Referent};
use self::stores::{Stores, key_of};
use crate::references::rules_by_host;
use crate::{Backends, Config, Inputs, References, Target, Translated, references, translate};

/// An object that plans are made from.
#[derive(Clone, Debug)]
pub enum Object {
    /// A Knative Ingress of Sluice's class.
    Ingress(crds::Ingress),
    /// A Service.
    Service(crds::Service),
    /// Core Endpoints.
    Endpoints(crds::Endpoints),
    /// An EndpointSlice.
    EndpointSlice(crds::EndpointSlice),
    /// A Secret.
    Secret(crds::Secret),
}

/// The kinds of [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A Knative Ingress.
    Ingress,
    /// A Service.
    Service,
    /// Core Endpoints.
    Endpoints,
    /// An EndpointSlice.
    EndpointSlice,
    /// A Secret.
    Secret,
}

impl Object {
    /// The kind of the object.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Object::Ingress(_) => ObjectKind::Ingress,
            Object::Service(_) => ObjectKind::Service,
            Object::Endpoints(_) => ObjectKind::Endpoints,
            Object::EndpointSlice(_) => ObjectKind::EndpointSlice,
            Object::Secret(_) => ObjectKind::Secret,
        }
    }

    /// Its namespace and name, as they stand.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        key_of(match self {
            Object::Ingress(object) => &object.metadata,
            Object::Service(object) => &object.metadata,
            Object::Endpoints(object) => &object.metadata,
            Object::EndpointSlice(object) => &object.metadata,
            Object::Secret(object) => &object.metadata,
        })
    }
}

/// What differs since the last [`World::settle`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What gateways are to serve, by Ingress.
    pub plans: BTreeMap<ObjectKey, PlanChange>,
    /// New or changed verdicts; an Ingress that is gone has none.
    pub verdicts: BTreeMap<ObjectKey, Verdict>,
    /// New or changed endpoints of clusters in use.
    pub endpoints: BTreeMap<ServicePort, Endpoints>,
}

impl Changes {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.verdicts.is_empty() && self.endpoints.is_empty()
    }
}

/// What is known of one Ingress after its last translation.
#[derive(Debug, Default)]
struct Planned {
    verdict: Option<Verdict>,
    /// The refusal, while the newest generation is refused.
    refused: Option<Arc<RefusedPlan>>,
    /// The newest plan that was not refused.
    good: Option<Arc<Plan>>,
    /// The Ingress that `good` was made from, for those that rewrite to it.
    good_source: Option<Arc<crds::Ingress>>,
    /// Clusters that gateways may be using for this Ingress.
    clusters: BTreeSet<ServicePort>,
}

/// All objects as last seen, and the plans they lead to.
#[derive(Debug)]
pub struct World {
    config: Config,
    now: Timestamp,
    stores: Stores,
    claims: Claims,
    index: Index,
    planned: BTreeMap<ObjectKey, Planned>,
    /// Clusters in use, with how many Ingresses use each.
    clusters: BTreeMap<ServicePort, usize>,
    /// What was last said of each cluster in use.
    endpoints: BTreeMap<ServicePort, Endpoints>,
    dirty: BTreeSet<ObjectKey>,
    /// Services whose endpoints may differ.
    stirred: BTreeSet<ObjectKey>,
}

impl World {
    /// An empty world. `now` judges certificates only.
    #[must_use]
    pub fn new(config: Config, now: Timestamp) -> Self {
        Self {
            claims: Claims::new(&config.cluster_suffix),
            config,
            now,
            stores: Stores::default(),
            index: Index::default(),
            planned: BTreeMap::new(),
            clusters: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            dirty: BTreeSet::new(),
            stirred: BTreeSet::new(),
        }
    }

    /// Another way to speak to backends: every Ingress is translated anew.
    pub fn set_backends(&mut self, backends: Backends) {
        if self.config.backends != backends {
            self.config.backends = backends;
            self.dirty.extend(self.stores.ingresses.keys().cloned());
        }
    }

    /// Moves the clock: Ingresses with certificates are judged anew.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = now;
        let with_tls = self
            .stores
            .ingresses
            .iter()
            .filter(|(_, ingress)| !ingress.spec.tls.is_empty())
            .map(|(key, _)| key.clone());
        self.dirty.extend(with_tls);
    }

    /// Stores an object as it now is.
    pub fn apply(&mut self, object: Object) {
        let key = object.key();
        match object {
            Object::Ingress(ingress) => self.apply_ingress(key, ingress),
            Object::Service(service) => {
                self.stores.services.insert(key.clone(), service);
                self.touch_service(key);
            }
            Object::Endpoints(endpoints) => {
                self.stores.endpoints.insert(key.clone(), endpoints);
                self.stirred.insert(key);
            }
            Object::EndpointSlice(slice) => {
                let touched = self.stores.put_slice(slice);
                self.stirred.extend(touched);
            }
            Object::Secret(secret) => {
                self.stores.secrets.insert(key.clone(), secret);
                self.touch(&Referent::Secret(key));
            }
        }
    }

    /// Forgets an object.
    pub fn delete(&mut self, kind: ObjectKind, key: &ObjectKey) {
        match kind {
            ObjectKind::Ingress => {
                if self.stores.ingresses.remove(key).is_some() {
                    self.reclaim(key, None, BTreeSet::new());
                    self.touch(&Referent::Ingress(key.clone()));
                    self.dirty.insert(key.clone());
                }
            }
            ObjectKind::Service => {
                self.stores.services.remove(key);
                self.touch_service(key.clone());
            }
            ObjectKind::Endpoints => {
                self.stores.endpoints.remove(key);
                self.stirred.insert(key.clone());
            }
            ObjectKind::EndpointSlice => {
                let touched = self.stores.remove_slice(key);
                self.stirred.extend(touched);
            }
            ObjectKind::Secret => {
                self.stores.secrets.remove(key);
                self.touch(&Referent::Secret(key.clone()));
            }
        }
    }

    /// Translates every Ingress that something touched since the last call, and
    /// gives what differs. Costs what was touched, whatever else there is.
    pub fn settle(&mut self) -> Changes {
        let mut changes = Changes::default();
        // An Ingress that becomes refused, or stops being so, touches those that
        // rewrite to it: hence a queue, not a list.
        while let Some(key) = self.dirty.pop_first() {
            self.settle_ingress(&key, &mut changes);
        }
        for service in std::mem::take(&mut self.stirred) {
            let first = ServicePort {
                service: service.clone(),
                port: NonZeroU16::MIN,
            };
            let ports: Vec<ServicePort> = self
                .clusters
                .range(first..)
                .map(|(port, _)| port)
                .take_while(|port| port.service == service)
                .cloned()
                .collect();
            for port in ports {
                self.settle_endpoints(port, &mut changes);
            }
        }
        changes
    }

    /// The verdict on every Ingress, as of the last settling.
    pub fn verdicts(&self) -> impl Iterator<Item = (&ObjectKey, &Verdict)> {
        self.planned
            .iter()
            .filter_map(|(key, planned)| Some((key, planned.verdict.as_ref()?)))
    }

    /// The plan that gateways serve for an Ingress: the newest not refused.
    #[must_use]
    pub fn plan(&self, ingress: &ObjectKey) -> Option<&Arc<Plan>> {
        self.planned.get(ingress)?.good.as_ref()
    }

    /// Endpoints of every cluster in use, as of the last settling.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoints> {
        self.endpoints.values()
    }

    /// Endpoints of one cluster in use, as of the last settling.
    #[must_use]
    pub fn endpoints_of(&self, port: &ServicePort) -> Option<&Endpoints> {
        self.endpoints.get(port)
    }

    /// The Ingress that owns a host on a side.
    #[must_use]
    pub fn owner(&self, side: Side, host: &Host) -> Option<&ObjectKey> {
        self.claims.owner(&(side, host.clone()))
    }

    fn apply_ingress(&mut self, key: ObjectKey, ingress: crds::Ingress) {
        let References { claims, .. } = references(&ingress, &self.config);
        self.reclaim(&key, ingress.metadata.creation_timestamp, claims);
        self.stores.ingresses.insert(key.clone(), Arc::new(ingress));
        self.touch(&Referent::Ingress(key.clone()));
        self.dirty.insert(key);
    }

    fn reclaim(
        &mut self,
        ingress: &ObjectKey,
        created: Option<Timestamp>,
        claims: BTreeSet<(Side, Host)>,
    ) {
        for claim in self.claims.replace(ingress, created, claims) {
            self.dirty.extend(self.claims.claimants(&claim).cloned());
            if claim.0 == Side::Internal {
                self.touch(&Referent::Rewrite(claim.1));
            }
        }
    }

    fn touch(&mut self, referent: &Referent) {
        self.dirty.extend(self.index.referrers(referent).cloned());
    }

    fn touch_service(&mut self, service: ObjectKey) {
        self.touch(&Referent::Service(service.clone()));
        self.stirred.insert(service);
    }

    fn settle_ingress(&mut self, key: &ObjectKey, changes: &mut Changes) {
        let Some(ingress) = self.stores.ingresses.get(key).cloned() else {
            self.index.replace(key, BTreeSet::new());
            if let Some(planned) = self.planned.remove(key) {
                changes.plans.insert(key.clone(), PlanChange::Remove);
                self.recount(&planned.clusters, &BTreeSet::new(), changes);
            }
            return;
        };
        let (translation, referents) = self.gather_and_translate(key, &ingress);
        self.index.replace(key, referents);

        let planned = self.planned.entry(key.clone()).or_default();
        if planned.verdict.as_ref() != Some(&translation.verdict) {
            changes
                .verdicts
                .insert(key.clone(), translation.verdict.clone());
            planned.verdict = Some(translation.verdict);
        }
        let was_refused = planned.refused.is_some();
        let mut clusters: BTreeSet<ServicePort>;
        match translation.translated {
            Translated::Plan(plan) => {
                clusters = plan.clusters.keys().cloned().collect();
                planned.good_source = Some(ingress);
                let same = planned.refused.is_none() && planned.good.as_deref() == Some(&plan);
                if !same {
                    let plan = Arc::new(plan);
                    planned.good = Some(Arc::clone(&plan));
                    changes.plans.insert(key.clone(), PlanChange::Serve(plan));
                }
                planned.refused = None;
            }
            Translated::Refused(refused) => {
                clusters = refused.clusters.keys().cloned().collect();
                if let Some(good) = &planned.good {
                    clusters.extend(good.clusters.keys().cloned());
                }
                if planned.refused.as_deref() != Some(&refused) {
                    let refused = Arc::new(refused);
                    planned.refused = Some(Arc::clone(&refused));
                    changes.plans.insert(key.clone(), PlanChange::Hold(refused));
                }
            }
        }
        let is_refused = planned.refused.is_some();
        let before = std::mem::replace(&mut planned.clusters, clusters.clone());
        if was_refused != is_refused {
            self.touch(&Referent::Ingress(key.clone()));
        }
        self.recount(&before, &clusters, changes);
    }

    /// Gathers what an Ingress names and translates it; also gives the edges of
    /// the reverse index.
    fn gather_and_translate(
        &self,
        key: &ObjectKey,
        ingress: &crds::Ingress,
    ) -> (crate::Translation, BTreeSet<Referent>) {
        let mut named = references(ingress, &self.config);
        let mut referents = BTreeSet::new();
        let mut targets = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for host in std::mem::take(&mut named.rewrites) {
            referents.insert(Referent::Rewrite(host.clone()));
            let Some((owner, source)) = self.rewrite_source(&host) else {
                targets.insert(host, Target::Absent);
                continue;
            };
            referents.insert(Referent::Ingress(owner.clone()));
            if owner.namespace != key.namespace {
                let owner = owner.clone();
                targets.insert(host, Target::Foreign { owner });
                continue;
            }
            // Thousands of rewrites may lead to one Ingress; it is read once.
            let rules = sources.entry(owner).or_insert_with(|| {
                let named_there = references(source, &self.config).services;
                named.services.extend(named_there);
                rules_by_host(source, Side::Internal, &self.config)
            });
            let target = match rules.get(&host) {
                Some(rule) => Target::Rule {
                    ingress: source,
                    rule: *rule,
                },
                None => Target::Absent,
            };
            targets.insert(host, target);
        }
        let services = named
            .services
            .iter()
            .filter_map(|service| Some((service.name.as_str(), self.stores.services.get(service)?)))
            .collect();
        let secrets = named
            .secrets
            .iter()
            .filter_map(|secret| Some((secret.name.as_str(), self.stores.secrets.get(secret)?)))
            .collect();
        let owners = named
            .claims
            .into_iter()
            .map(|claim| {
                let ownership = self.claims.ownership(&claim, key);
                (claim, ownership)
            })
            .collect();
        let translation = translate(&Inputs {
            ingress,
            config: &self.config,
            now: self.now,
            services,
            secrets,
            owners,
            targets,
        });
        referents.extend(named.services.into_iter().map(Referent::Service));
        referents.extend(named.secrets.into_iter().map(Referent::Secret));
        (translation, referents)
    }

    /// The Ingress that serves a host inside the cluster, as gateways serve it:
    /// while its newest generation is refused, the last good one.
    fn rewrite_source(&self, host: &Host) -> Option<(&ObjectKey, &crds::Ingress)> {
        let owner = self.owner(Side::Internal, host)?;
        let newest = self.stores.ingresses.get(owner)?;
        let source = match self.planned.get(owner) {
            Some(planned) if planned.refused.is_some() => {
                planned.good_source.as_ref().unwrap_or(newest)
            }
            _ => newest,
        };
        Some((owner, source))
    }

    fn recount(
        &mut self,
        before: &BTreeSet<ServicePort>,
        after: &BTreeSet<ServicePort>,
        changes: &mut Changes,
    ) {
        for port in after.difference(before) {
            let count = self.clusters.entry(port.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                self.settle_endpoints(port.clone(), changes);
            }
        }
        for port in before.difference(after) {
            if let Some(count) = self.clusters.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.clusters.remove(port);
                    self.endpoints.remove(port);
                    changes.endpoints.remove(port);
                }
            }
        }
    }

    fn settle_endpoints(&mut self, port: ServicePort, changes: &mut Changes) {
        let found = self.stores.assigned(&port, &self.config);
        if self.endpoints.get(&port) != Some(&found) {
            changes.endpoints.insert(port.clone(), found.clone());
            self.endpoints.insert(port, found);
        }
    }
}
