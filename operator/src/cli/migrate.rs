//! `sluice migrate`: Services from another ingress to Sluice, and back, under traffic.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use sluice_install::{
    CLASS, Cluster, Deadline, InstallError, Migration, class_of, finish, migrate, serve_beside,
};

use super::cluster::ClusterArgs;
use super::exit::Exit;
use super::install::{failure, seconds};
use super::progress::{Output, Progress};

/// Move Services from another ingress to Sluice, or back, with no request lost.
///
/// Both run. What moves is served by Sluice beside the other first, proven at every
/// gateway; then its class changes, one object after the other, each waited for until it
/// is Ready. One that fails is taken back, and the same command goes on. Point names at
/// the new address when all have moved; then end it by --finish.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ingress that has them: a word such as kourier, istio, contour, sluice, or a
    /// whole class.
    #[arg(long, value_name = "CLASS")]
    from: String,

    /// The ingress that gets them. One of the two is sluice.
    #[arg(long, value_name = "CLASS", default_value = "sluice")]
    to: String,

    /// Only these: hello, ksvc/hello, domainmapping/hello.example.com. Left out: all.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Only of this namespace. Left out: of every one.
    #[arg(short, long)]
    namespace: Option<String>,

    /// Serve them beside the other ingress, and move none.
    #[arg(long, conflicts_with = "finish")]
    beside: bool,

    /// Make the new class that of config-network, and take every annotation of the
    /// migration away.
    #[arg(long, conflicts_with_all = ["names", "namespace"])]
    finish: bool,

    /// Print what would move, and write nothing.
    #[arg(long)]
    dry_run: bool,

    /// How long all of it may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    timeout: Duration,

    /// Lines for people, or an object of JSON a line.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (from, to) = (class_of(&args.from), class_of(&args.to));
    if from == to || (from != CLASS && to != CLASS) || (args.beside && to != CLASS) {
        let found = if args.beside { " --beside" } else { "" };
        let error = anyhow::anyhow!(
            "--from {} --to {}{found}: found a way that Sluice has no part in, expected one between sluice and another ingress, and --beside only towards sluice",
            args.from,
            args.to,
        );
        return Err(super::exit::Failure::new(Exit::Usage, error).into());
    }
    super::runtime()?.block_on(moved(args, from, to))
}

async fn moved(args: &Args, from: String, to: String) -> anyhow::Result<ExitCode> {
    let connected = args.cluster.connect().await?;
    let cluster = Cluster::new(connected.client, &connected.url);
    cluster
        .reach()
        .await
        .map_err(|error| failure(error, false))?;
    let namespace = args.namespace.as_deref();
    let migration = Migration::take(&cluster, from, to, &args.names, namespace)
        .await
        .map_err(|error| failure(error, false))?;
    if args.dry_run {
        print(&migration, args.output)?;
        return Ok(Exit::Well.into());
    }
    let deadline = Deadline::within(args.timeout);
    let mut progress = Progress::new(args.output);
    let mut tell = |event| progress.tell(&event);
    let ended = if args.finish {
        finish(&cluster, &migration, deadline, &mut tell).await
    } else if args.beside {
        serve_beside(&cluster, &migration, deadline, &mut tell).await
    } else {
        migrate(&cluster, &migration, deadline, &mut tell).await
    };
    progress.end()?;
    // Each object is as before or has moved whole, so that this is not half done.
    ended.map_err(|error| {
        let begun = !matches!(
            error,
            InstallError::NotAllMoved { .. }
                | InstallError::NotMoved { .. }
                | InstallError::NothingToEnd { .. }
        );
        failure(error, begun)
    })?;
    if args.output == Output::Human {
        writeln!(io::stdout(), "{}", next(args, &migration))?;
    }
    Ok(Exit::Well.into())
}

/// What to do now.
fn next(args: &Args, migration: &Migration) -> String {
    let Args { from, to, .. } = args;
    let count = migration.moves.len();
    if args.finish {
        format!("all is of {to}, and nothing of {from} is left")
    } else if args.beside {
        format!("{count} served by both; to move them: sluice migrate --from {from} --to {to}")
    } else if count == 0 {
        format!(
            "nothing is of {from}; to end the migration: sluice migrate --from {from} --to {to} --finish"
        )
    } else {
        format!(
            "{count} moved; the way back: sluice migrate --from {to} --to {from}; once names lead to {to}: sluice migrate --from {from} --to {to} --finish"
        )
    }
}

fn print(migration: &Migration, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for one in &migration.moves {
        let hosts: Vec<&str> = one
            .hosts
            .iter()
            .map(|served| served.host.as_str())
            .collect();
        match output {
            Output::Human => writeln!(out, "{} ({})", one.object, hosts.join(", "))?,
            Output::Json => {
                let line = serde_json::json!({"object": one.object, "hosts": hosts});
                writeln!(out, "{line}")?;
            }
        }
    }
    if output == Output::Human {
        let (count, from, to) = (migration.moves.len(), &migration.from, &migration.to);
        writeln!(out, "{count} would move from {from} to {to}")?;
    }
    Ok(())
}
