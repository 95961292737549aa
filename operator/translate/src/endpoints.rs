//! The ready addresses of one Service port.

use std::collections::BTreeSet;

use sluice_crds as crds;
use sluice_ir::{Endpoints, ServicePort};

use crate::Config;

/// The addresses that a cluster's load is spread over.
#[must_use]
pub fn endpoints(
    service_port: &ServicePort,
    _service: Option<&crds::Service>,
    _endpoints: Option<&crds::Endpoints>,
    _slices: &[&crds::EndpointSlice],
    _config: &Config,
) -> Endpoints {
    Endpoints {
        service_port: service_port.clone(),
        addresses: BTreeSet::new(),
    }
}
