//! `sluice lint`: manifests, judged by the operator's own code.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;
use sluice_dev::{Fault, RejectionView, Severity, Translated};
use sluice_ir::{Outcome, Reason};

use super::ask::{self, Output};
use super::translate::read;

/// Judge manifests as the operator would, without a cluster.
///
/// Names each field that is not served, where it stands, what was found, what would
/// be right, and what to do. What an Ingress names (Services, their endpoints,
/// Secrets) is looked for in the files too; --allow takes what is not in them. The
/// exit code is 1 where anything is refused, served in part or cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file, a folder, or - for standard input; may be given many times.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// A reason that is no problem here, such as ServiceMissing or SecretMissing for
    /// what the cluster has; may be given many times.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    allow: Vec<Reason>,

    /// Exit with 1 for warnings also.
    #[arg(long)]
    strict: bool,

    /// Lines for people, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn reason(text: &str) -> Result<Reason, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut findings = match read(&args.files) {
        Ok(sources) => {
            let translated = sluice_dev::translate(&sources, false, Timestamp::now());
            Findings::of(&translated)
        }
        Err(faults) => Findings::of_faults(faults),
    };
    findings
        .rejections
        .retain(|finding| !args.allow.contains(&finding.rejection.rejection.reason));
    let problems = findings.problems(args.strict);
    ask::print(&match args.output {
        Output::Table => findings.told() + &findings.summary(problems),
        Output::Json => serde_json::to_string_pretty(&findings)? + "\n",
    })?;
    Ok(if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is found in files.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Findings {
    /// What is wrong with the files, or left alone in them.
    faults: Vec<Fault>,
    /// What of an Ingress is not served, or should be known.
    rejections: Vec<Finding>,
    /// How many Ingresses were judged.
    ingresses: usize,
}

/// One field of an Ingress.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    severity: &'static str,
    ingress: String,
    #[serde(flatten)]
    rejection: RejectionView,
}

impl Findings {
    pub(super) fn of_faults(faults: Vec<Fault>) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    pub(super) fn of(translated: &Translated) -> Self {
        let mut rejections = Vec::new();
        for (key, ingress) in &translated.ingresses {
            for rejection in &ingress.rejections {
                rejections.push(Finding {
                    severity: match ingress.verdict.outcome {
                        Outcome::Refused => "refused",
                        _ if rejection.rejection.reason.warns() => "warning",
                        Outcome::Partial | Outcome::Accepted => "partial",
                    },
                    ingress: key.to_string(),
                    rejection: rejection.clone(),
                });
            }
        }
        Self {
            faults: translated.faults.clone(),
            rejections,
            ingresses: translated.ingresses.len(),
        }
    }

    /// How many things are wrong; warnings are only where they are taken strictly.
    fn problems(&self, strict: bool) -> usize {
        let faults = self.faults.iter().filter(|fault| match fault.severity {
            Severity::Error => true,
            Severity::Warning => strict,
            Severity::Note => false,
        });
        let rejections = self.rejections.iter();
        let rejections = rejections.filter(|one| strict || one.severity != "warning");
        faults.count() + rejections.count()
    }

    fn summary(&self, problems: usize) -> String {
        let ingresses = match self.ingresses {
            0 => "no Ingress was judged".to_owned(),
            1 => "1 Ingress".to_owned(),
            many => format!("{many} Ingresses"),
        };
        let problems = match problems {
            0 => "no problem".to_owned(),
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        format!("{ingresses}: {problems}\n")
    }

    /// A line each.
    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        for fault in &self.faults {
            let _ = writeln!(text, "{}: {fault}", fault.severity);
        }
        for finding in &self.rejections {
            let (severity, ingress) = (finding.severity, &finding.ingress);
            let _ = writeln!(text, "{severity}: ingress {ingress}: {}", finding.rejection);
        }
        text
    }
}
