//! What gateways must serve, as plain comparable data.
//!
//! *Reads* nothing. *Gives* the vocabulary that `translate` writes and `envoy`
//! reads: [`Plan`] (all that one Ingress wants served), [`Verdict`] (what of it
//! cannot be served and why), [`Endpoints`] (where one Service port answers).
//! *Never* mentions Kubernetes machinery, protobuf, time or randomness: two
//! equal values mean equal traffic.
//!
//! Start at [`Plan`].

mod certificate;
mod cluster;
mod name;
mod plan;
mod route;
mod verdict;

pub use certificate::{Certificate, PrivateKey};
pub use cluster::{Address, Cluster, Discovery, Endpoints, Protocol, Transport};
pub use name::{Host, HostError, ObjectKey, ServicePort, Side};
pub use plan::{Plan, PlanChange, RefusedPlan};
pub use route::{Action, Backend, CONTROL_HEADERS, Headers, Route, Split, VirtualHost};
pub use verdict::{Outcome, Reason, Rejection, Verdict};
