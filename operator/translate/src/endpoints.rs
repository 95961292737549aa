//! The ready addresses of one Service port.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use sluice_crds as crds;
use sluice_ir::{Address, Endpoints, ServicePort};

use crate::Config;
use crate::address::endpoint_ip;
use crate::backend::{is_external, port_by_number};

/// Serving's mark on the Service whose Endpoints it writes itself
/// (`knative.dev/networking pkg/apis/networking ServiceTypeKey`).
const SERVICE_TYPE_LABEL: &str = "networking.internal.knative.dev/serviceType";

/// Kubernetes' mark on who writes a slice (`discovery/v1 LabelManagedBy`).
const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

/// The writer of slices that copy core Endpoints.
const MIRROR: &str = "endpointslicemirroring-controller.k8s.io";

/// The addresses that the load of a Service port is spread over; none is no
/// fault, it is a 503.
///
/// Which objects count:
/// - of a Service that Serving marks public, the core Endpoints alone: Serving
///   writes them at each flip between activator and pods, and every copy is late;
/// - of any other Service, its EndpointSlices but for copies of core Endpoints;
/// - where a Service has no slices of its own, the core Endpoints that somebody
///   wrote by hand, and only where those are unknown, their copies.
#[must_use]
pub fn endpoints(
    service_port: &ServicePort,
    service: Option<&crds::Service>,
    endpoints: Option<&crds::Endpoints>,
    slices: &[&crds::EndpointSlice],
    config: &Config,
) -> Endpoints {
    let port = service
        .filter(|service| !is_external(service))
        .and_then(|service| Some((service, port_by_number(service, service_port.port)?)));
    let addresses = port.map_or_else(BTreeSet::new, |(service, port)| {
        let (copies, own): (Vec<_>, Vec<_>) = slices.iter().copied().partition(|s| is_copy(s));
        if is_public(service) {
            endpoints.map_or_else(BTreeSet::new, |e| of_endpoints(e, &port.name, config))
        } else if !own.is_empty() {
            of_slices(&own, &port.name, config)
        } else if let Some(endpoints) = endpoints {
            of_endpoints(endpoints, &port.name, config)
        } else {
            of_slices(&copies, &port.name, config)
        }
    });
    Endpoints {
        service_port: service_port.clone(),
        addresses,
    }
}

/// Whether Serving writes the Service's Endpoints itself: pods or activator.
pub(crate) fn is_public(service: &crds::Service) -> bool {
    let kind = service.metadata.labels.get(SERVICE_TYPE_LABEL);
    kind.is_some_and(|kind| kind == "Public")
}

fn is_copy(slice: &crds::EndpointSlice) -> bool {
    let writer = slice.metadata.labels.get(MANAGED_BY_LABEL);
    writer.is_some_and(|writer| writer == MIRROR)
}

fn of_endpoints(endpoints: &crds::Endpoints, port: &str, config: &Config) -> BTreeSet<Address> {
    let mut addresses = BTreeSet::new();
    for subset in &endpoints.subsets {
        for found in subset.ports.iter().filter(|found| found.name == port) {
            let Some(number) = port_number(found.port) else {
                continue;
            };
            addresses.extend(
                subset
                    .addresses
                    .iter()
                    .filter_map(|address| endpoint_ip(&address.ip, config.allow_loopback))
                    .map(|ip| Address { ip, port: number }),
            );
        }
    }
    addresses
}

/// Ready endpoints; where there are none at all, those that still serve while
/// they terminate, as kube-proxy does (KEP-1669).
fn of_slices(slices: &[&crds::EndpointSlice], port: &str, config: &Config) -> BTreeSet<Address> {
    let mut ready = BTreeSet::new();
    let mut draining = BTreeSet::new();
    for slice in slices {
        // FQDN endpoints are names, which a ClusterLoadAssignment cannot hold.
        if slice.address_type == "FQDN" {
            continue;
        }
        let numbers: Vec<NonZeroU16> = slice
            .ports
            .iter()
            .filter(|found| found.name == port)
            .filter_map(|found| port_number(found.port?))
            .collect();
        for endpoint in &slice.endpoints {
            let conditions = &endpoint.conditions;
            let terminating = conditions.terminating == Some(true);
            let kept = if conditions.ready != Some(false) {
                &mut ready
            } else if terminating && conditions.serving == Some(true) {
                &mut draining
            } else {
                continue;
            };
            let first = endpoint.addresses.first();
            let Some(ip) = first.and_then(|text| endpoint_ip(text, config.allow_loopback)) else {
                continue;
            };
            kept.extend(numbers.iter().map(|port| Address { ip, port: *port }));
        }
    }
    if ready.is_empty() { draining } else { ready }
}

fn port_number(port: i32) -> Option<NonZeroU16> {
    u16::try_from(port).ok().and_then(NonZeroU16::new)
}

#[cfg(test)]
mod tests;
