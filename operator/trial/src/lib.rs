//! Proof on live traffic: what the other rooms promise, seen from outside.
//!
//! *Reads* manifests and plain requests. *Gives* a [`backend`] that tells what
//! reached it, a [`prober`] that loses no loss, a [`judge`] for splits, and
//! whole gateways on loopback. *Never* is linked into the operator: it is for
//! tests, for the demo and for benches.
//!
//! Start at [`prober::Prober`] for load, at [`backend::Backend`] for what answers it.

pub mod backend;
pub mod dial;
mod error;
pub mod grpc;
pub mod judge;
pub mod line;
pub mod prober;
pub mod websocket;

pub use error::TrialError;
