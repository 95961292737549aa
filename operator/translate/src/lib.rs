//! One Knative Ingress and what it names in, one plan and one verdict out.
//!
//! *Reads* `crds`: an Ingress, the Services and Secrets it names, and what the
//! world says of the hosts it claims ([`Inputs`]). *Gives* `ir`: a plan, or what
//! stands in for a refused one, and a verdict that names every field that is not
//! served and why ([`Translation`]); and the ready addresses of one Service port
//! ([`endpoints`]). *Never* does I/O, reads a clock, panics, or fails as a whole:
//! what cannot be served is a value.
//!
//! Start at [`translate`]; what it needs is told by [`references`]. [`World`]
//! gathers that from stores and settles what an event touches.

mod address;
mod backend;
mod certificate;
mod crossing;
mod endpoints;
mod field;
mod headers;
mod hosts;
mod inputs;
mod paths;
mod references;
mod rejections;
mod routes;
mod splits;
mod tls;
mod translate;
mod trust;
mod validity;
mod world;

#[cfg(test)]
mod fixture;

pub use endpoints::endpoints;
pub use inputs::{Backends, Config, Inputs, Ownership, Target, Translated, Translation};
pub use references::{References, references};
pub use translate::translate;
pub use trust::{TrustRoots, certificates_by_name, trust_roots};
pub use world::{Changes, Object, ObjectKind, World};
