//! `sluice check`: what is wrong with a cluster, by codes that stay.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::ValueEnum;
use jiff::Timestamp;
use sluice_ask::{Report, facts, table};

use super::ask;
use super::cluster::{ClusterArgs, Connected};
use super::exit::{Exit, Failure};

/// Between one look and the next, while it waits.
const PAUSE: Duration = Duration::from_secs(2);

/// Look for what is wrong with a cluster, each with its cause and its fix.
///
/// Codes such as SLC0401 stay the same for ever; --codes lists them. The exit code is
/// 1 where there is a problem, and 0 where there are warnings alone.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Before Sluice is installed: whether it can be.
    #[arg(long)]
    pre: bool,

    /// Look again until there is no problem, for so many seconds at most.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "300")]
    wait: Option<u64>,

    /// List the codes; no cluster is asked.
    #[arg(long)]
    codes: bool,

    /// The namespace that Sluice runs in.
    #[arg(short, long, value_name = "NAME", default_value = ask::NAMESPACE)]
    namespace: String,

    /// For people, one JSON object, or a suite of JUnit's.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
    Junit,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.codes {
        ask::print(&table())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (report, reached) = ask::wait_for(look(args))?;
    ask::print(&match args.output {
        Output::Table => report.told(),
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
        Output::Junit => report.junit(),
    })?;
    match args.wait {
        _ if report.is_well() => Ok(ExitCode::SUCCESS),
        _ if !reached => Ok(Exit::Unreachable.into()),
        Some(seconds) => {
            let late = anyhow!("there are problems still, after {seconds} s");
            Err(Failure::new(Exit::Timeout, late).into())
        }
        None => Ok(ExitCode::FAILURE),
    }
}

/// The report, and whether the API server was reached for it.
async fn look(args: &Args) -> anyhow::Result<(Report, bool)> {
    let connected = args.cluster.connect().await?;
    let began = Instant::now();
    let limit = Duration::from_secs(args.wait.unwrap_or_default());
    loop {
        let (report, reached) = once(args, &connected).await?;
        if report.is_well() || began.elapsed() + PAUSE > limit {
            return Ok((report, reached));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(args: &Args, connected: &Connected) -> anyhow::Result<(Report, bool)> {
    let now = Timestamp::now().as_second();
    let (client, url) = (connected.client.clone(), &connected.url);
    match facts(client, url, &args.namespace, args.pre, now).await {
        Ok(facts) => Ok((Report::of(&facts), true)),
        Err(error) if error.is_unreachable() => Ok((Report::unreachable(url, &error), false)),
        Err(error) => Err(ask::failure(connected, error)),
    }
}
