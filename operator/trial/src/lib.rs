//! Proof on live traffic: what the other rooms promise, seen from outside.
//!
//! *Reads* manifests and plain requests. *Gives* a [`backend`] that tells what
//! reached it, a [`prober`] that loses no loss, a [`judge`] for splits, and a
//! real [`gateway`] on loopback with the operator's own rooms as its [`server`].
//! *Never* is linked into the operator: it is for tests, for the demo and for
//! benches.
//!
//! ```text
//! manifests ─► server::Server ──xDS over a Unix socket──► gateway::Gateway ─► backend::Backend
//!              (or remote::Remote, to be killed)                 ▲
//!                              prober::Prober, line::Line, raw ──┘ ─► Report, Reply ─► judge
//! ```
//!
//! Start at [`gateway::Place`], then [`server::Server`], [`gateway::Gateway`]
//! and [`prober::Prober`].

pub mod backend;
pub mod certificate;
pub mod demo;
pub mod dial;
mod error;
pub mod gateway;
pub mod grpc;
pub mod judge;
pub mod line;
pub mod manifest;
pub mod ports;
pub mod prober;
pub mod raw;
pub mod remote;
pub mod server;
pub mod websocket;

pub use error::TrialError;
