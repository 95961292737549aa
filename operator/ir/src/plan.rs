//! All that one Ingress wants served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Certificate, Cluster, Host, ObjectKey, ServicePort, Side, VirtualHost};

/// What one Ingress wants served: a pure function of the Ingress and of what it
/// names, translated whole and alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The Ingress.
    pub ingress: ObjectKey,
    /// `K-Network-Hash` of this generation: 64 hex digits.
    pub hash: String,
    /// Virtual hosts by side, in rule order. A rule of visibility ExternalIP
    /// stands on both sides, ClusterLocal on the internal one only.
    pub sides: BTreeMap<Side, Vec<VirtualHost>>,
    /// Every cluster that a split names.
    #[serde(default)]
    pub clusters: BTreeMap<ServicePort, Cluster>,
    /// Certificates by side and owned host.
    #[serde(default)]
    pub certificates: BTreeMap<Side, BTreeMap<Host, Certificate>>,
}

/// What stands in for the plan of a refused Ingress: gateways that hold its
/// last good resources keep them, a gateway that never had any answers 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPlan {
    /// The Ingress.
    pub ingress: ObjectKey,
    /// The hosts it owns by side.
    pub hosts: BTreeMap<Side, BTreeSet<Host>>,
    /// Clusters that its readable splits name, so that last good routes keep
    /// live endpoints after a restart of the operator.
    #[serde(default)]
    pub clusters: BTreeMap<ServicePort, Cluster>,
    /// One line for the client: why.
    pub reason: String,
}

/// What becomes of what gateways serve for one Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanChange {
    /// Serve this.
    Serve(Arc<Plan>),
    /// Leave last good as it is; where there is none, answer 503 with the reason.
    Hold(Arc<RefusedPlan>),
    /// The Ingress is gone.
    Remove,
}

impl Plan {
    /// The hosts served on a side.
    pub fn hosts(&self, side: Side) -> impl Iterator<Item = &Host> {
        self.sides
            .get(&side)
            .into_iter()
            .flatten()
            .flat_map(|virtual_host| &virtual_host.hosts)
    }
}
