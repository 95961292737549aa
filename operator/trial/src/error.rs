//! What can go wrong around a trial; what a trial finds is never an error but a value.

use std::io;

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
