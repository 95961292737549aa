//! Puts Knative Serving and Sluice into a cluster, and takes out exactly that.
//!
//! *Reads* Sluice's manifests as they were built in, Knative's from a release, a bundle
//! or files, and what the cluster has. *Gives* a plan, and does it: kinds, Knative,
//! gateways, the settings that wire them, a request that proves it; and the way back, by
//! an inventory that is kept in the cluster. *Never* touches what it did not make, but
//! for entries of Knative's ConfigMaps whose values it keeps; writes before it has asked
//! whether it may; or makes a version or a hash up.
//!
//! ```text
//! bundle, source ─► Knative ─┐
//! product ───────────────────┼─► plan ─► install ─► inventory ─► uninstall
//! survey, cluster ───────────┘                 └──► upgrade, rollback
//! cluster ─► migration ─► migrate, from another ingress and back
//! ```
//!
//! Start at [`Survey::take`], then [`prepare`] and [`install`].

mod bundle;
mod cluster;
mod error;
mod images;
mod install;
mod inventory;
mod manifest;
mod migrate;
mod plan;
mod product;
mod request;
mod source;
mod survey;
mod uninstall;
mod upgrade;
mod wait;

pub use bundle::{Bundle, FileHash, Index, Knative, create, verify};
pub use cluster::{Cluster, FIELD_MANAGER, SERVING};
pub use error::InstallError;
pub use images::{at, rewrite};
pub use install::{Event, Installed, Options, Prepared, Tell, install, prepare, printed};
pub use inventory::{Build, Inventory, Setting};
pub use manifest::{Object, Reference, read, write};
pub use migrate::{Migration, Move, Served, class_of, finish, migrate, serve_beside};
pub use plan::{CLASS, Change, Component, Data, Domain, Line, Plan};
pub use product::{Images, NAMESPACE, VERSION};
pub use request::Address;
pub use source::{KNATIVE_VERSION, RELEASES, files, release, version};
pub use survey::{KnativeChoice, MINORS, Survey};
pub use uninstall::{Farewell, farewell, uninstall};
pub use upgrade::{rollback, upgrade};
pub use wait::Deadline;
