//! The slim stores: every object as last seen, found by key in logarithmic time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_crds as crds;
use sluice_ir::{Endpoints, ObjectKey, ServicePort};

use crate::Config;

/// The label by which a slice names its Service (`discovery/v1` `LabelServiceName`).
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Objects by key.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) ingresses: BTreeMap<ObjectKey, Arc<crds::Ingress>>,
    pub(super) services: BTreeMap<ObjectKey, crds::Service>,
    pub(super) secrets: BTreeMap<ObjectKey, crds::Secret>,
    pub(super) endpoints: BTreeMap<ObjectKey, crds::Endpoints>,
    slices: BTreeMap<ObjectKey, crds::EndpointSlice>,
    slices_by_service: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

/// The key of an object; its namespace as it stands.
pub(super) fn key_of(metadata: &crds::ObjectMeta) -> ObjectKey {
    ObjectKey::new(&metadata.namespace, &metadata.name)
}

fn service_of(slice: &crds::EndpointSlice) -> Option<ObjectKey> {
    let service = slice.metadata.labels.get(SERVICE_NAME_LABEL)?;
    Some(ObjectKey::new(&slice.metadata.namespace, service))
}

impl Stores {
    /// Stores a slice; gives the Services whose endpoints may differ now: the
    /// one it names, and the one it named before.
    pub(super) fn put_slice(&mut self, slice: crds::EndpointSlice) -> BTreeSet<ObjectKey> {
        let key = key_of(&slice.metadata);
        let mut touched = self.remove_slice(&key);
        if let Some(service) = service_of(&slice) {
            self.slices_by_service
                .entry(service.clone())
                .or_default()
                .insert(key.clone());
            touched.insert(service);
        }
        self.slices.insert(key, slice);
        touched
    }

    /// Drops a slice; gives the Services whose endpoints may differ now.
    pub(super) fn remove_slice(&mut self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        let Some(service) = self.slices.remove(key).as_ref().and_then(service_of) else {
            return BTreeSet::new();
        };
        if let Some(slices) = self.slices_by_service.get_mut(&service) {
            slices.remove(key);
            if slices.is_empty() {
                self.slices_by_service.remove(&service);
            }
        }
        BTreeSet::from([service])
    }

    /// The endpoints of a Service port.
    pub(super) fn assigned(&self, port: &ServicePort, config: &Config) -> Endpoints {
        crate::endpoints(
            port,
            self.services.get(&port.service),
            self.endpoints.get(&port.service),
            &self.slices(&port.service),
            config,
        )
    }

    /// The slices of a Service, by name.
    fn slices(&self, service: &ObjectKey) -> Vec<&crds::EndpointSlice> {
        self.slices_by_service
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(|key| self.slices.get(key))
            .collect()
    }
}
