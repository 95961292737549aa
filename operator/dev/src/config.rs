//! What `sluice dev` and `sluice translate` tell translation of the cluster
//! that there is none of.

use std::collections::BTreeSet;

use sluice_ir::Host;
use sluice_translate::{Backends, Config};

/// The suffix of cluster-local names.
const CLUSTER_SUFFIX: &str = "cluster.local";

/// The private gateway's Service: a DomainMapping leads there.
const PRIVATE_GATEWAY: [&str; 2] = ["sluice-internal", "sluice-system"];

/// The configuration of a cluster with default names.
pub(crate) fn config(allow_loopback: bool) -> Config {
    let [service, namespace] = PRIVATE_GATEWAY;
    let private_gateways: BTreeSet<Host> = [
        format!("{service}.{namespace}.svc.{CLUSTER_SUFFIX}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}"),
    ]
    .iter()
    .filter_map(|name| Host::parse(name).ok())
    .collect();
    Config {
        cluster_suffix: CLUSTER_SUFFIX.into(),
        private_gateways,
        allow_loopback,
        backends: Backends::Plain,
    }
}
