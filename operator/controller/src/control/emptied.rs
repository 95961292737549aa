//! Public Services whose activators are gone for a moment.
//!
//! An activator holds requests until there is a pod. Where Serving has nothing to write
//! for a moment, or somebody empties what it wrote, those requests would be lost that it
//! can still hold. So gateways go on with activators that are there; with pods they never
//! do, as a pod that is gone from the list ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sluice_crds as crds;
use sluice_ir::ObjectKey;
use sluice_translate::{Object, World};
use tokio::time::Instant;

/// The longest that gateways go on with activators that no list has any more.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// Lists without anybody that wait.
#[derive(Debug)]
pub(super) struct Emptied {
    /// The Service of the activators.
    activators: ObjectKey,
    held: BTreeMap<ObjectKey, (Instant, crds::Endpoints)>,
    by_end: BTreeSet<(Instant, ObjectKey)>,
}

impl Emptied {
    pub(super) fn new(system_namespace: &str) -> Self {
        Self {
            // serving/pkg/networking/constants.go ActivatorServiceName.
            activators: ObjectKey::new(system_namespace, "activator-service"),
            held: BTreeMap::new(),
            by_end: BTreeSet::new(),
        }
    }

    /// Takes an object on its way to the world; gives it back where it need not wait.
    /// Whatever comes later of the same Service takes the place of what waits.
    pub(super) fn offer(&mut self, object: Object, world: &World, now: Instant) -> Option<Object> {
        let Object::Endpoints(endpoints) = object else {
            return Some(object);
        };
        let key = ObjectKey::new(&*endpoints.metadata.namespace, &*endpoints.metadata.name);
        // A list that is emptied again waits no longer than the first.
        let until = self.forget(&key).unwrap_or(now + LONGEST);
        if until <= now || !world.loses_activators(&endpoints, &self.activators) {
            return Some(Object::Endpoints(endpoints));
        }
        tracing::info!(service = %key, "its list has no activator any more; gateways go on with those of before for a moment");
        self.by_end.insert((until, key.clone()));
        self.held.insert(key, (until, endpoints));
        None
    }

    /// Forgets what waits of a Service; gives until when it waited.
    pub(super) fn forget(&mut self, key: &ObjectKey) -> Option<Instant> {
        let (until, _) = self.held.remove(key)?;
        self.by_end.remove(&(until, key.clone()));
        Some(until)
    }

    /// What has waited long enough.
    pub(super) fn release(&mut self, now: Instant) -> Vec<Object> {
        let mut released = Vec::new();
        while let Some((until, key)) = self.by_end.first().cloned()
            && until <= now
        {
            self.by_end.remove(&(until, key.clone()));
            released.extend(
                self.held
                    .remove(&key)
                    .map(|(_, object)| Object::Endpoints(object)),
            );
        }
        released
    }

    /// When the first of them has waited long enough.
    pub(super) fn first_end(&self) -> Option<Instant> {
        self.by_end.first().map(|(until, _)| *until)
    }
}
