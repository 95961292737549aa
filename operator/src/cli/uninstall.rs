//! `sluice uninstall`: takes away exactly what `sluice install` put there.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use sluice_install::{Cluster, Deadline, Farewell, InstallError, Survey};

use super::cluster::ClusterArgs;
use super::exit::{Exit, Failure};
use super::install::{failure, seconds};
use super::progress::{Output, Progress};

/// Take away what `sluice install` made, and bring back what it replaced.
///
/// What goes is what the inventory lists, in the ConfigMap sluice-system/sluice-inventory;
/// it is shown first. Knative's kinds stay, and with them all Services of users, unless
/// --purge is given. Takes no internet. Exits with 5 if anything stayed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Take away Knative's kinds too, and every Service of users with them.
    #[arg(long)]
    purge: bool,

    /// Go though Services ask for Sluice by name, and have no ingress then.
    #[arg(long)]
    abandon: bool,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Show what would go, and take nothing away.
    #[arg(long)]
    dry_run: bool,

    /// How long to wait until it has gone, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    timeout: Duration,

    /// Lines for people, or an object of JSON a line.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(uninstall(args))
}

async fn uninstall(args: &Args) -> anyhow::Result<ExitCode> {
    let connected = args.cluster.connect().await?;
    let cluster = Cluster::new(connected.client, &connected.url);
    let unbegun = |error| failure(error, false);
    let survey = Survey::take(&cluster).await.map_err(unbegun)?;
    let Some(inventory) = survey.inventory else {
        return Err(failure(InstallError::NoInventory, false));
    };
    let farewell = Farewell::take(&cluster, &inventory, args.purge, args.abandon)
        .await
        .map_err(unbegun)?;
    show(args, &farewell)?;
    if args.dry_run || farewell.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes && !agreed(&connected.context)? {
        return Err(anyhow!("nothing was taken away"));
    }
    let mut progress = Progress::new(args.output);
    let deadline = Deadline::within(args.timeout);
    let gone = sluice_install::uninstall(&cluster, inventory, &farewell, deadline, &mut |event| {
        progress.tell(&event);
    })
    .await;
    progress.end()?;
    gone.map_err(|error| failure(error, true))?;
    if args.output == Output::Human {
        writeln!(io::stdout(), "nothing stayed of what was to go")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(args: &Args, farewell: &Farewell) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match args.output {
        Output::Human => write!(out, "{farewell}")?,
        Output::Json => writeln!(out, "{}", serde_json::to_string(farewell)?)?,
    }
    Ok(())
}

/// Asks on a terminal; where nobody can be asked, that is an error of the command line.
fn agreed(context: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        let error = anyhow!("nobody can be asked here whether to go on; --yes says so beforehand");
        return Err(Failure::new(Exit::Usage, error).into());
    }
    write!(io::stderr(), "take all of this away from {context}? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
