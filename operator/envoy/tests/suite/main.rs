//! What this crate makes of plans, as text, as bytes, and as Envoy sees it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "in tests a failed unwrap is the failing assertion itself; clippy exempts test functions but not what they call"
)]

mod accepted;
mod cases;
mod descriptors;
mod golden;
mod orders;
