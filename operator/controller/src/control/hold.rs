//! New generations that wait for their backends.
//!
//! An Ingress, its Services and their endpoints come by different watches, and who
//! wrote the Ingress may have seen endpoints that are not here yet: Kubernetes writes
//! them twice, in two APIs, by two controllers. A generation that moves requests to a
//! Service behind which nobody is known is therefore let wait for a moment, while
//! gateways serve the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sluice_crds as crds;
use sluice_ir::ObjectKey;
use sluice_translate::{Object, World};
use tokio::time::Instant;

/// The longest that a generation waits. A Service may well be empty on purpose.
pub(super) const LONGEST: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Held {
    ingress: crds::Ingress,
    services: BTreeSet<ObjectKey>,
    until: Instant,
}

/// Generations that wait.
#[derive(Debug, Default)]
pub(super) struct Holds {
    held: BTreeMap<ObjectKey, Held>,
    by_service: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    by_end: BTreeSet<(Instant, ObjectKey)>,
    /// Ingresses of which a Service differs.
    stirred: BTreeSet<ObjectKey>,
}

impl Holds {
    /// Takes a generation of an Ingress; one before it that waits is forgotten, but
    /// not how long it has waited. Gives it back where it need not wait.
    pub(super) fn offer(
        &mut self,
        key: &ObjectKey,
        ingress: crds::Ingress,
        world: &World,
        now: Instant,
    ) -> Option<crds::Ingress> {
        let until = self.drop(key).map_or(now + LONGEST, |before| before.until);
        let services = world.unready(&ingress);
        if services.is_empty() || until <= now {
            return Some(ingress);
        }
        tracing::debug!(ingress = %key, ?services, "waits for its backends");
        for service in &services {
            let waiting = self.by_service.entry(service.clone()).or_default();
            waiting.insert(key.clone());
        }
        self.by_end.insert((until, key.clone()));
        let held = Held {
            ingress,
            services,
            until,
        };
        self.held.insert(key.clone(), held);
        None
    }

    /// Whether a generation of an Ingress waits.
    pub(super) fn has(&self, key: &ObjectKey) -> bool {
        self.held.contains_key(key)
    }

    /// Forgets what waits for an Ingress.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.drop(key);
    }

    /// Takes note of an object that may be what is waited for.
    pub(super) fn see(&mut self, object: &Object) {
        if self.held.is_empty() {
            return;
        }
        let Some(service) = service_of(object) else {
            return;
        };
        let waiting = self.by_service.get(&service).into_iter().flatten();
        self.stirred.extend(waiting.cloned());
    }

    /// Generations that wait no longer.
    pub(super) fn release(&mut self, world: &World, now: Instant) -> Vec<crds::Ingress> {
        let mut released = Vec::new();
        for key in std::mem::take(&mut self.stirred) {
            let is_ready = |held: &Held| world.unready(&held.ingress).is_empty();
            if self.held.get(&key).is_some_and(is_ready) {
                released.extend(self.drop(&key).map(|held| held.ingress));
            }
        }
        while let Some((until, key)) = self.by_end.first().cloned()
            && until <= now
        {
            released.extend(self.drop(&key).map(|held| held.ingress));
        }
        released
    }

    /// When the first of them has waited long enough.
    pub(super) fn first_end(&self) -> Option<Instant> {
        self.by_end.first().map(|(until, _)| *until)
    }

    fn drop(&mut self, key: &ObjectKey) -> Option<Held> {
        let held = self.held.remove(key)?;
        self.by_end.remove(&(held.until, key.clone()));
        self.stirred.remove(key);
        for service in &held.services {
            if let Some(waiting) = self.by_service.get_mut(service) {
                waiting.remove(key);
                if waiting.is_empty() {
                    self.by_service.remove(service);
                }
            }
        }
        Some(held)
    }
}

/// The Service whose endpoints an object tells of.
fn service_of(object: &Object) -> Option<ObjectKey> {
    match object {
        Object::Service(_) | Object::Endpoints(_) => Some(object.key()),
        Object::EndpointSlice(slice) => {
            let name = slice.metadata.labels.get("kubernetes.io/service-name")?;
            Some(ObjectKey::new(&*slice.metadata.namespace, &**name))
        }
        Object::Ingress(_) | Object::Secret(_) => None,
    }
}
