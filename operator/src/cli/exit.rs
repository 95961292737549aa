//! How a command ends, as a number that scripts may rely on.

use std::fmt;
use std::process::ExitCode;

/// The exit codes. Signals and panics have their own, above 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and nothing is wrong.
    Well,
    /// Something was found wrong, or could not be done.
    Problems,
    /// The command line itself is wrong; clap ends with the same.
    Usage,
    /// No API server answers, or it does not take who asks.
    Unreachable,
    /// What was waited for did not come in time.
    Timeout,
    /// Begun and not finished: the cluster was changed, and not all that was
    /// asked for is there. The same command again goes on.
    Partial,
}

impl Exit {
    const ALL: [Self; 6] = [
        Self::Well,
        Self::Problems,
        Self::Usage,
        Self::Unreachable,
        Self::Timeout,
        Self::Partial,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Problems => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Timeout => 4,
            Self::Partial => 5,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Problems => "something was found wrong, or could not be done",
            Self::Usage => "the command line is wrong",
            Self::Unreachable => "no API server answers, or it does not take who asks",
            Self::Timeout => "what was waited for did not come in time",
            Self::Partial => "begun and not finished; the same command again goes on",
        }
    }

    /// What the help says of the codes.
    pub(super) fn table() -> String {
        let mut table = "Exit codes:\n".to_owned();
        for exit in Self::ALL {
            table.push_str(&format!("  {}  {}\n", exit.code(), exit.meaning()));
        }
        table
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that ends the command with a code of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// Ends with `exit`, and says `error`.
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        Self { exit, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// The code that an error ends with: its own, or that of any other failure.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    error
        .downcast_ref::<Failure>()
        .map_or(Exit::Problems, |failure| failure.exit)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_failure_keeps_its_code_under_any_context() {
        let failure = Failure::new(Exit::Timeout, anyhow!("no answer"));
        let error = anyhow::Error::new(failure).context("waiting for a deployment");
        assert_eq!(of(&error), Exit::Timeout);
        assert_eq!(of(&anyhow!("anything else")), Exit::Problems);
    }

    #[test]
    fn a_failure_says_its_error_once() {
        let inner: Result<(), _> = Err(std::io::Error::other("refused"));
        let error = inner
            .context("asking the API server")
            .map_err(|error| anyhow::Error::new(Failure::new(Exit::Unreachable, error)));
        assert_eq!(
            error.err().map(|error| format!("{error:#}")),
            Some("asking the API server: refused".to_owned())
        );
    }
}
