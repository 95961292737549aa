//! `sluice translate`: what files come to, without a cluster or an Envoy.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use jiff::Timestamp;
use sluice_dev::{Fault, Source, Translated, read_stream, sources, translate};
use sluice_ir::Outcome;

use super::ask;
use super::lint::Findings;

/// Show the exact Envoy resources that Knative manifests come to.
///
/// Prints resources by type, or plans and verdicts, and every fault on standard
/// error. Exits with 1 if a file cannot be read whole (unknown fields count) or
/// an Ingress is refused.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file, a folder, or - for standard input; may be given many times.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Envoy's resources as yaml or json, or plans and verdicts (ir).
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,

    /// Exit with 1 also if an Ingress is served only in part.
    #[arg(long)]
    strict: bool,

    /// Let backends be on loopback, as sluice dev does.
    #[arg(long)]
    allow_loopback: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Yaml,
    Json,
    Ir,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sources = match read(&args.files) {
        Ok(sources) => sources,
        Err(faults) => {
            complain(&Findings::of_faults(faults))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let translated = translate(&sources, args.allow_loopback, Timestamp::now());
    complain(&Findings::of(&translated))?;
    if !translated.is_readable() {
        return Ok(ExitCode::FAILURE);
    }
    ask::print(&shown(&translated, args.output)?)?;
    Ok(match translated.worst() {
        Outcome::Refused => ExitCode::FAILURE,
        Outcome::Partial if args.strict => ExitCode::FAILURE,
        Outcome::Partial | Outcome::Accepted => ExitCode::SUCCESS,
    })
}

/// Reads what was named on the command line.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Source>, Vec<Fault>> {
    let (streams, files): (Vec<PathBuf>, Vec<PathBuf>) = files
        .iter()
        .cloned()
        .partition(|file| file.as_os_str() == "-");
    let mut sources = sources(&files)?;
    if !streams.is_empty() {
        let stdin = read_stream("stdin", io::stdin().lock())?;
        sources.push(stdin);
    }
    Ok(sources)
}

fn shown(translated: &Translated, output: Output) -> anyhow::Result<String> {
    Ok(match output {
        Output::Yaml => sluice_envoy::yaml(&translated.resources()?)?,
        Output::Json => serde_json::to_string_pretty(&translated.resources()?)? + "\n",
        Output::Ir => sluice_envoy::yaml(&translated.ir()?)?,
    })
}

fn complain(findings: &Findings) -> io::Result<()> {
    io::stderr().lock().write_all(findings.told().as_bytes())
}
