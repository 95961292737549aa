//! All plans together: which resources there are, and what a change changes.

use std::collections::BTreeMap;

use sluice_ir::{Endpoints, ObjectKey, PlanChange, ServicePort};

use crate::{Edge, Kind, Resource, Update, listeners};

/// The resources of all Ingresses and of the edge. Equal plans give equal
/// resources, whatever the order in which they came.
#[derive(Debug)]
pub struct Assembly {
    resources: BTreeMap<(Kind, String), Resource>,
}

impl Assembly {
    /// An assembly without plans: listeners and the readiness table only.
    #[must_use]
    pub fn new(edge: &Edge) -> Self {
        let resources = listeners(edge)
            .into_iter()
            .map(|resource| ((resource.kind, resource.name.clone()), resource))
            .collect();
        Self { resources }
    }

    /// What to publish before any change: all there is.
    #[must_use]
    pub fn initial(&self) -> Update {
        Update {
            upserts: self.resources.values().cloned().collect(),
            ..Update::default()
        }
    }

    /// Takes over what became of some Ingresses and of some Service ports, and
    /// says what that changes.
    pub fn apply(
        &mut self,
        plans: &BTreeMap<ObjectKey, PlanChange>,
        endpoints: &BTreeMap<ServicePort, Endpoints>,
    ) -> Update {
        let _ = (plans, endpoints);
        Update::default()
    }

    /// Every resource there is, by type and name.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }
}
