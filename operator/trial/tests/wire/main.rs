//! What Sluice promises, through the real Envoy on loopback.
//!
//! Every test starts its own gateway and its own backends on free ports, so all
//! run at once and in any order. Without an Envoy (`$ENVOY`, `PATH`) each says
//! in one line that it was left out; `SLUICE_REQUIRE_ENVOY=1` makes that fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "every item here is part of a test, whose failure is its message"
)]

mod access_log;
mod backend_tls;
mod changes;
mod companion;
mod goldens;
mod handover;
mod headers;
mod mapping;
mod peer;
mod probe;
mod propagation;
mod quarantine;
mod reasons;
mod refusal;
mod restart;
mod retries;
mod spelling;
mod splits;
mod stage;
mod statistics;
mod streams;
mod tls;
mod visibility;
