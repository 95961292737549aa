//! `sluice status`: gateways and Ingresses, and how far each is.

use std::process::ExitCode;

use sluice_ask::Status;

use super::ask::{self, Output};
use super::cluster::ClusterArgs;

/// Show what gateways hold, and how far Ingresses are.
///
/// Each gateway is SYNCED, STALE (it is yet to be sent or to acknowledge so many
/// resources) or NACK (it refused so many), by xDS type. Ingresses that are not
/// Ready are listed with what they wait for. The exit code is 0 whatever is told;
/// sluice check judges.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List the Ingresses that are Ready too.
    #[arg(long)]
    all: bool,

    /// The namespace that Sluice runs in.
    #[arg(short, long, value_name = "NAME", default_value = ask::NAMESPACE)]
    namespace: String,

    /// For people, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let status = ask::wait_for(gather(args))?;
    ask::print(&match args.output {
        Output::Table => status.told(args.all),
        Output::Json => serde_json::to_string_pretty(&status)? + "\n",
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn gather(args: &Args) -> anyhow::Result<Status> {
    let connected = args.cluster.connect().await?;
    let mut pages = ask::pages(&connected, &args.namespace).await?;
    let answered = async {
        Ok(Status {
            operator: pages.operator().await?,
            gateways: pages.gateways().await?,
            refusals: pages.refusals().await?,
            ingresses: pages.ingresses().await?,
            builds: pages.builds().clone(),
        })
    };
    answered
        .await
        .map_err(|error| ask::failure(&connected, error))
}
