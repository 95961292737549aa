//! A report for people, and for programs that count tests.

use std::fmt::Write as _;

use super::{CODES, Code, Finding, Report, Severity};
use crate::table::plain;

impl Report {
    /// Lines for people, by group.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = String::new();
        let mut group = "";
        for finding in &self.findings {
            if finding.group != group {
                group = finding.group;
                let _ = writeln!(text, "{group}");
            }
            let (code, found) = (finding.code, plain(&finding.found));
            let _ = writeln!(text, "  {:<8} {code}  {found}", word(finding.severity));
            if let Some(fix) = &finding.fix {
                let _ = writeln!(text, "  {:<8} {:<7}  fix: {}", "", "", plain(fix));
            }
        }
        let count = |severity, one: &str, many: &str| {
            let count = self.count(severity);
            format!("{count} {}", if count == 1 { one } else { many })
        };
        let problems = count(Severity::Problem, "problem", "problems");
        let warnings = count(Severity::Warning, "warning", "warnings");
        let skipped = count(Severity::Skipped, "not looked at", "not looked at");
        let _ = writeln!(text, "{problems}, {warnings}, {skipped}");
        text
    }

    /// A suite of JUnit's, a case for each code that was looked at: a problem is a
    /// failure, a warning is told in the case's output.
    #[must_use]
    pub fn junit(&self) -> String {
        let of = |code: &Code| -> Vec<&Finding> {
            let same = |one: &&Finding| one.code == code.code;
            let mut found: Vec<&Finding> = self.findings.iter().filter(same).collect();
            // Failures come before outputs in a case.
            found.sort_by_key(|one| std::cmp::Reverse(one.severity));
            found
        };
        let cases: Vec<(&Code, Vec<&Finding>)> = CODES
            .iter()
            .map(|code| (code, of(code)))
            .filter(|(_, findings)| !findings.is_empty())
            .collect();
        let with = |severity: Severity| {
            let has = |findings: &[&Finding]| findings.iter().any(|one| one.severity == severity);
            cases.iter().filter(|(_, findings)| has(findings)).count()
        };
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        let _ = writeln!(
            text,
            "<testsuite name=\"sluice check\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            cases.len(),
            with(Severity::Problem),
            with(Severity::Skipped)
        );
        for (code, findings) in &cases {
            let name = escaped(&format!("{} {}", code.code, code.what));
            let _ = writeln!(
                text,
                "  <testcase classname=\"sluice.check.{}\" name=\"{name}\">",
                code.group
            );
            for finding in findings {
                let found = escaped(&finding.found);
                let fix = escaped(finding.fix.as_deref().unwrap_or_default());
                let _ = match finding.severity {
                    Severity::Ok => Ok(()),
                    Severity::Warning => writeln!(
                        text,
                        "    <system-out>warning: {found}; fix: {fix}</system-out>"
                    ),
                    Severity::Problem => {
                        writeln!(text, "    <failure message=\"{found}\">{fix}</failure>")
                    }
                    Severity::Skipped => writeln!(text, "    <skipped message=\"{found}\"/>"),
                };
            }
            let _ = writeln!(text, "  </testcase>");
        }
        text + "</testsuite>\n"
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Problem => "problem",
        Severity::Skipped => "skipped",
    }
}

/// A text as it may stand in XML.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in plain(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
