//! `sluice completions`: what a shell needs to complete command lines.

use std::io;
use std::process::ExitCode;

use anyhow::Context;
use clap_complete::Shell;

/// Print the completion script of a shell, to be sourced by it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    // Shells complete the file's own name, which is one word.
    let file = command
        .get_bin_name()
        .unwrap_or(command.get_name())
        .replace(' ', "-");
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, file, &mut script);
    io::Write::write_all(&mut io::stdout(), &script).context("writing the script")?;
    Ok(ExitCode::SUCCESS)
}
