//! Plans as named Envoy resources: the only room that builds Envoy messages.
//!
//! *Reads* [`sluice_ir::Plan`]s and [`sluice_ir::Endpoints`]. *Gives*
//! [`Resource`]s: encoded, versioned by content, with what the xDS server must
//! know to send them safely; the bootstrap of a gateway; and any of these as
//! people read them. *Never* awaits, logs, or asks what an Ingress is.
//!
//! Start at [`Assembly`]: plans in, updates out.

mod answer;
mod assembly;
mod bootstrap;
mod cluster;
mod connection_manager;
mod dump;
mod edge;
mod endpoints;
mod error;
mod listener;
pub mod name;
mod overload;
mod pb;
mod resource;
mod route;
mod route_table;
mod scope;
mod secret;
mod shape;
mod tls;
mod update;

pub use assembly::Assembly;
pub use bootstrap::{Bootstrap, XdsAddress, bootstrap};
pub use dump::{dump, dump_all, dump_content, yaml};
pub use edge::{Edge, ProbeKey};
pub use error::EnvoyError;
pub use listener::listeners;
pub use resource::{Content, Kind, Resource, STANDBY};
pub use scope::anchor;
pub use secret::secret_named;
pub use sluice_ir::PlanChange;
pub use update::Update;
