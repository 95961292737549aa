//! What can go wrong around a trial; what a trial finds is never an error but a value.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why a trial could not be carried out.
#[derive(Debug, Error)]
pub enum TrialError {
    /// The machine did not do what was asked; the action says what.
    #[error("failed to {action}: {source}")]
    Io {
        /// What was tried, such as `bind a loopback port`.
        action: String,
        /// The cause.
        source: io::Error,
    },
    /// A manifest that a trial wrote for itself does not read.
    #[error("failed to read a manifest: {0}")]
    Manifest(String),
    /// No certificate can be made of what was asked.
    #[error("failed to issue a certificate: {0}")]
    Certificate(String),
    /// The bootstrap of a gateway could not be written.
    #[error("failed to write a bootstrap: {0}")]
    Bootstrap(#[from] sluice_envoy::EnvoyError),
    /// A gateway did not start, or its admin interface did not answer.
    #[error(transparent)]
    Gateway(#[from] sluice_gateway::GatewayError),
    /// Something that must come did not come.
    #[error("waited {} s for {what}; state: {state}", waited.as_secs())]
    NeverCame {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What there was instead.
        state: String,
    },
    /// A gateway refused resources that it was not meant to refuse.
    #[error("a gateway refused {0}")]
    Refused(String),
    /// A prober's figures cannot be trusted; run it again on a quieter machine
    /// or at a lower rate.
    #[error("prober run is invalid: {0}")]
    InvalidRun(String),
}

impl TrialError {
    /// Names the action in which an I/O error came up.
    pub fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| TrialError::Io { action, source }
    }
}
