//! What cannot be served, gathered while translating.

use std::fmt::Display;

use sluice_ir::{Reason, Rejection, Verdict};

/// All rejections so far.
#[derive(Debug, Default)]
pub(crate) struct Rejections(Vec<Rejection>);

impl Rejections {
    /// Notes one, and gives the line that a client reads where the field was to
    /// serve: it tells the field and the fault, not what to do.
    pub(crate) fn add(&mut self, rejection: Rejection) -> String {
        let line = client_line(&rejection);
        self.0.push(rejection);
        line
    }

    /// The line of the first fault that refuses the whole generation.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.0
            .iter()
            .find(|rejection| rejection.reason.refuses())
            .map(client_line)
    }

    pub(crate) fn into_verdict(self) -> Verdict {
        Verdict::from_rejections(self.0)
    }
}

/// One rejection. The texts complete the sentence
/// "`field`: found `found`, expected `expected`; `fix`".
pub(crate) fn rejection(
    reason: Reason,
    field: impl Display,
    found: impl Into<String>,
    expected: impl Into<String>,
    fix: impl Into<String>,
) -> Rejection {
    Rejection {
        reason,
        field: field.to_string(),
        found: found.into(),
        expected: expected.into(),
        fix: fix.into(),
    }
}

fn client_line(rejection: &Rejection) -> String {
    format!(
        "{}: found {}, expected {}",
        rejection.field, rejection.found, rejection.expected
    )
}
