//! `sluice check`: what is wrong with a cluster, by codes that stay.

mod code;
mod facts;
mod judge;
mod rights;
mod told;

use serde::{Deserialize, Serialize};

use crate::error::AskError;

use code::CODES;
pub use code::{Code, table};
pub use facts::{Certificate, Facts, Right, facts};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// It does not work.
    Problem,
    /// Nobody could look.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// It stays for ever.
    pub code: &'static str,
    /// What it belongs to.
    pub group: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in one line.
    pub found: String,
    /// What to do: a command, or a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// All that was looked at, in the order of codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each by itself.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Judges what was gathered.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let mut findings = judge::findings(facts);
        // Several of one code stand in the order in which they were found.
        findings.sort_by_key(|finding| finding.code);
        Self { findings }
    }

    /// Where no API server answers: that is all there is to tell.
    #[must_use]
    pub fn unreachable(url: &str, why: &AskError) -> Self {
        Self::of(&Facts {
            url: url.to_owned(),
            unread: [("SLC0101".to_owned(), why.with_causes())].into(),
            ..Facts::default()
        })
    }

    /// Whether nothing is wrong; warnings are not.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.count(Severity::Problem) == 0
    }

    fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of).count()
    }
}
