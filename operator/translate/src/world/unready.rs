//! Which backends an Ingress is about to be moved to before anybody is there.

use std::collections::BTreeSet;

use sluice_crds as crds;
use sluice_ir::{ObjectKey, ServicePort};

use super::World;
use super::stores::key_of;
use crate::backend::{find_port, is_external};
use crate::splits::shares;

impl World {
    /// The Services that a new generation of an Ingress would lead requests to, which
    /// gateways do not use for it yet, and behind which nobody is known to be ready.
    /// None for an Ingress that is not served yet, since it has nothing to lose.
    ///
    /// What an Ingress names and the Ingress itself come by different watches: who
    /// wrote it may have seen endpoints that are still on their way here.
    #[must_use]
    pub fn unready(&self, ingress: &crds::Ingress) -> BTreeSet<ObjectKey> {
        let key = key_of(&ingress.metadata);
        let (Some(_), Some(before)) = (self.plan(&key), self.stores.ingresses.get(&key)) else {
            return BTreeSet::new();
        };
        let known: BTreeSet<_> = backends(before).collect();
        backends(ingress)
            .filter(|backend| !known.contains(backend))
            .filter_map(|(name, port)| {
                let service = ObjectKey::new(&key.namespace, name);
                let Some(found) = self.stores.services.get(&service) else {
                    return Some(service);
                };
                if is_external(found) {
                    return None;
                }
                // One that the Service does not have is to be told at once.
                let (port, _) = find_port(found, port)?;
                let port = ServicePort { service, port };
                let assigned = self.stores.assigned(&port, &self.config);
                assigned.addresses.is_empty().then_some(port.service)
            })
            .collect()
    }
}

/// The Services and ports that get requests by an Ingress.
fn backends(ingress: &crds::Ingress) -> impl Iterator<Item = (&str, &crds::IntOrString)> {
    let namespace = &ingress.metadata.namespace;
    let rules = ingress.spec.rules.iter();
    rules
        .filter_map(|rule| rule.http.as_ref())
        .flat_map(|http| &http.paths)
        .flat_map(|path| shares(path).map(|(_, _, split)| split))
        .filter(move |split| split.service_namespace == *namespace)
        .map(|split| (split.service_name.as_str(), &split.service_port))
}
