//! `sluice man`: the help as manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap_mangen::Man;

/// Write the manual: a page for each command, or the first one alone.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write sluice.1, sluice-dev.1 and all others to. Left out:
    /// sluice.1 goes to standard output.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &Args, command: clap::Command) -> anyhow::Result<ExitCode> {
    // Pages are for the program and not for one of its names; `help` has none.
    let command = command.bin_name("sluice").disable_help_subcommand(true);
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        Man::new(command)
            .render(&mut page)
            .context("writing the page")?;
        io::stdout().write_all(&page).context("writing the page")?;
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("writing pages to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
