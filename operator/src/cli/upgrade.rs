//! `sluice upgrade`: from the build that is installed to this one, paced, and back.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use sluice_install::{Cluster, InstallError, Inventory, Options, Survey};

use super::cluster::ClusterArgs;
use super::exit::Exit;
use super::install::{ImageArgs, failure, seconds};
use super::progress::{Output, Progress};

/// Bring this build of Sluice to a cluster that has another, or go back.
///
/// The operators come first, then one gateway, which must answer a request; then the
/// others, one by one, each drained. What fails on the way is taken back to the build
/// before. Knative is upgraded by `sluice install knative --knative-version`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Go back to the build before the one that is installed.
    #[arg(long, conflicts_with_all = ["dry_run", "sluice_image", "envoy_image", "image_registry"])]
    rollback: bool,

    #[command(flatten)]
    images: ImageArgs,

    /// Print which fields would change, and write nothing.
    #[arg(long)]
    dry_run: bool,

    /// How long it may take before it is taken back, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    timeout: Duration,

    /// Lines for people, or an object of JSON a line.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(upgrade(args))
}

async fn upgrade(args: &Args) -> anyhow::Result<ExitCode> {
    let options = Options {
        images: args.images.images(),
        domain: None,
        settings: false,
        keep_class: true,
        balancer: Duration::ZERO,
        request: true,
        wait: true,
        timeout: args.timeout,
    };
    let connected = args.cluster.connect().await?;
    let cluster = Cluster::new(connected.client, &connected.url);
    let survey = Survey::take(&cluster)
        .await
        .map_err(|error| failure(error, false))?;
    let Some(inventory) = survey.inventory.clone() else {
        return Err(failure(InstallError::NoInventory, false));
    };
    if args.rollback {
        return back(args, &cluster, inventory, &options).await;
    }
    let prepared = sluice_install::prepare(&cluster, &survey, None, &options)
        .await
        .map_err(|error| failure(error, false))?;
    if args.dry_run || prepared.is_done() {
        write!(io::stdout(), "{:#}", prepared.plan)?;
        return Ok(Exit::Well.into());
    }
    let mut progress = Progress::new(args.output);
    let upgraded = sluice_install::upgrade(&cluster, prepared, &options, &mut |event| {
        progress.tell(&event);
    })
    .await;
    progress.end()?;
    upgraded.map_err(|error| {
        let whole = matches!(error, InstallError::TakenBack { .. });
        failure(error, !whole)
    })?;
    if args.output == Output::Human {
        writeln!(
            io::stdout(),
            "upgraded; the way back: sluice upgrade --rollback"
        )?;
    }
    Ok(Exit::Well.into())
}

async fn back(
    args: &Args,
    cluster: &Cluster,
    inventory: Inventory,
    options: &Options,
) -> anyhow::Result<ExitCode> {
    let begun = inventory.before.is_some();
    let mut progress = Progress::new(args.output);
    let version = sluice_install::rollback(cluster, inventory, options, &mut |event| {
        progress.tell(&event);
    })
    .await;
    progress.end()?;
    let version = version.map_err(|error| failure(error, begun))?;
    if args.output == Output::Human {
        writeln!(io::stdout(), "{version} runs again")?;
    }
    Ok(Exit::Well.into())
}
