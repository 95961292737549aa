//! One Envoy and what surrounds it on this machine.
//!
//! *Reads* where the user keeps Envoy ([`LocateEnvoy`]), a bootstrap as JSON
//! ([`EnvoyOptions`]), and what the running Envoy says on its log and on its
//! admin socket. *Gives* a checked binary ([`locate`]), a child process that
//! never outlives its parent ([`Envoy`]), one that is started again whenever it
//! ends ([`Supervised`]), and its admin interface ([`Admin`]). *Never* decides
//! what Envoy serves: the bootstrap and everything after it come from elsewhere.
//!
//! ```text
//! locate ─► binary ─┐
//! RunDir ─► sockets ┼─► EnvoyOptions ─► Envoy::start ─► Envoy ─► stop(drain)
//! bootstrap ────────┘                       ▲             │
//!                                           └─ Supervised ┘ (when it exits)
//! ```
//!
//! Start at [`Supervised::start`].

mod admin;
mod backoff;
mod companion;
mod drain;
mod envoy;
mod error;
mod failure;
mod launch;
mod listen;
mod locate;
mod log;
mod options;
mod redact;
mod relay;
mod run_dir;
mod supervise;
mod version;
mod wheel;
mod wheel_failure;

pub use admin::{Admin, ServerInfo, ServerState};
pub use backoff::Backoff;
pub use companion::{CompanionOptions, run as run_companion, write_bootstrap};
pub use envoy::{Envoy, Exit};
pub use error::GatewayError;
pub use failure::BindFailure;
pub use launch::{Launcher, exec_bound_to_parent};
pub use listen::{ListenAddress, ensure_free};
pub use locate::{LocateEnvoy, Progress, Source, locate};
pub use options::{EnvoyOptions, LogLevel};
pub use run_dir::{MAX_SOCKET_PATH, RunDir};
pub use supervise::{Event, Supervised};
pub use version::{EnvoyVersion, MINIMUM_VERSION};
