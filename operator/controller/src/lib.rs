//! All talk with the API server, and what follows from it.
//!
//! *Reads* Ingresses of Sluice's class, what they name, the gateways' endpoints and
//! three ConfigMaps, by watches; through [`Gateways`] what the gateways hold; and by
//! probes whether they serve it. *Gives* each change of what is to be served to
//! [`Gateways::publish`]; the status and the events of each Ingress, while this
//! replica leads; readiness, liveness and counts in [`Health`]. *Never* speaks with
//! a gateway's configuration stream, plans anything itself, publishes before every
//! resource was listed, or ends because the API server refuses something.
//!
//! ```text
//! watch ──► control: World ──► Gateways::publish
//!              │                       │ FleetView
//!              └──────► report ◄───────┘
//!                       │    │
//!                   Confirm  status, events
//! ```
//!
//! Start at [`run`]; the loop is in `control`, what a status says in `status`.

pub mod authority;
mod config;
mod control;
mod error;
mod gateways;
mod health;
mod inspect;
pub mod lease;
pub mod probe;
mod report;
pub mod review;
mod run;
mod status;
mod watch;

#[cfg(test)]
mod fake_api;
#[cfg(test)]
mod fake_cluster;

pub use config::{
    CONFIG_NETWORK, CONFIG_OBSERVABILITY, CONFIG_SLUICE, Options, Secrets, SettingFault, Settings,
    TraceProtocol, Tracing, cluster_suffix, found_cluster_suffix,
};
pub use error::ControllerError;
pub use gateways::{FleetView, GatewayRefusal, GatewayView, Gateways};
pub use health::{BUCKETS, Health, Histogram, IngressState, Snapshot};
pub use inspect::{
    IngressView, Inspector, Planned, Questions, QuorumView, Unanswered, WaitsFor, inspector,
};
pub use report::Confirm;
pub use run::{Wires, run};
pub use watch::{Source, WATCH_SECONDS};
