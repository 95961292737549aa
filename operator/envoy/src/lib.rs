//! Plans as named Envoy resources: the only room that builds Envoy messages.
//!
//! *Reads* [`sluice_ir::Plan`]s and [`sluice_ir::Endpoints`]. *Gives*
//! [`Resource`]s: encoded, versioned by content, with what the xDS server must
//! know to send them safely. *Never* awaits, logs, or asks what an Ingress is.

pub mod name;
mod resource;
mod update;

pub use resource::{Content, Kind, Resource, STANDBY};
pub use update::Update;
