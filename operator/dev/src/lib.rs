//! Knative manifests without a cluster: a folder served by a local Envoy
//! (`sluice dev`), or files translated and shown (`sluice translate`).
//!
//! *Reads* files: Knative `Ingress`, and the `Service`, `Endpoints`,
//! `EndpointSlice` and `Secret` it names. *Gives* live traffic through an Envoy
//! child and an [`Event`] for whatever happens, or the exact resources and plans
//! as values. *Never* decides what an Ingress means: that is `translate`'s and
//! `envoy`'s business, the same as in a cluster.
//!
//! ```text
//! folder ─ watch ─► folder ─► pipeline: gather → translate → build → publish → report
//!                                                                │         ▲
//!                                             Envoy ◄── xDS on a Unix socket
//! ```
//!
//! What differs from a cluster: an Ingress without a class is served, backends
//! may be on loopback, a namespace left out is `default`, and where two Ingresses
//! claim a host, one without a `creationTimestamp` counts as oldest (few manifests
//! have one), so that namespace and name decide.
//!
//! To serve takes Unix, whose sockets Envoy and its companion speak by. Elsewhere
//! files are read and translated, and nothing is served.
//!
//! Start at `run`; for files at [`translate`].

#![cfg_attr(
    not(unix),
    allow(
        dead_code,
        reason = "what follows a folder's edits is there for who serves it"
    )
)]

mod config;
#[cfg(unix)]
mod error;
mod event;
mod fault;
mod folder;
#[cfg(unix)]
mod gateway;
mod manifest;
mod offline;
#[cfg(unix)]
mod pipeline;
#[cfg(unix)]
mod port;
#[cfg(unix)]
mod readiness;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod watch;

#[cfg(unix)]
pub use error::DevError;
pub use event::{
    Event, GatewayState, Listen, PlanView, RejectionView, RouteView, RuleView, SplitView,
};
pub use fault::{Fault, FaultReason, Severity};
pub use folder::{MAX_FILE_BYTES, MAX_FILES};
pub use offline::{IngressView, Source, Translated, read_stream, sources, translate};
#[cfg(unix)]
pub use port::Ports;
#[cfg(unix)]
pub use report::Screen;
#[cfg(unix)]
pub use run::{DevOptions, Stop, run};
