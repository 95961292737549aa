//! Why the demo ended early.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::TrialError;

/// A promise that did not hold, or a machine that did not play along.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The machine did not do what was asked.
    #[error("failed to {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// The cause.
        source: io::Error,
    },
    /// A backend, a certificate or a prober failed.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// Something promised is not so.
    #[error("not as promised: {what}; found {found}")]
    Unexpected {
        /// What was promised.
        what: String,
        /// What there was.
        found: String,
    },
    /// Something promised did not come.
    #[error("waited in vain for {what}, {} s", .waited.as_secs())]
    Never {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
}

impl DemoError {
    /// Names the action in which an I/O error came up.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| DemoError::Io { action, source }
    }

    pub(super) fn never(what: &str) -> Self {
        DemoError::Never {
            what: what.to_owned(),
            waited: super::stage::PATIENCE,
        }
    }
}
