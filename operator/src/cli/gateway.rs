//! `sluice gateway`: what stands beside the Envoy of a gateway's pod.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use sluice_gateway::{CompanionOptions, run_companion, write_bootstrap};

use super::signals::Signals;

/// Run beside the Envoy of a gateway's pod: identity, configuration, drain.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write what Envoy is started with into the shared folder, and end.
    Bootstrap(BootstrapArgs),
    /// Serve Envoy its configuration until told to end; then drain and end it.
    Run(RunArgs),
}

/// Which pod this is, and the folder that its containers share.
#[derive(Debug, clap::Args)]
struct PodArgs {
    /// This pod's name.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: String,

    /// This pod's namespace.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    namespace: String,

    /// The folder, in memory, that Envoy shares.
    #[arg(long, value_name = "DIR", default_value = "/run/sluice")]
    shared_dir: PathBuf,
}

#[derive(Debug, clap::Args)]
struct BootstrapArgs {
    #[command(flatten)]
    pod: PodArgs,

    /// Bytes that Envoy's container may use; 0 for no bound.
    #[arg(
        long,
        env = "SLUICE_MEMORY_LIMIT",
        value_name = "BYTES",
        default_value_t = 0
    )]
    memory_limit: u64,
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    pod: PodArgs,

    /// A name that leads to every replica of the operator; or several names or
    /// addresses, separated by commas.
    #[arg(
        long,
        env = "SLUICE_OPERATOR",
        value_name = "HOST",
        default_value = "sluice-operator.sluice-system.svc"
    )]
    operator: String,

    /// The operator's port for streams.
    #[arg(long, value_name = "PORT", default_value_t = 18000)]
    xds_port: u16,

    /// The operator's port for certificates.
    #[arg(long, value_name = "PORT", default_value_t = 18001)]
    enrolment_port: u16,

    /// The token, with the audience sluice-xds, that says which pod this is.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/run/secrets/sluice/token"
    )]
    token_file: PathBuf,

    /// The roots by which the operator is known.
    #[arg(long, value_name = "FILE", default_value = "/etc/sluice/ca/bundle.crt")]
    ca_file: PathBuf,

    /// Seconds that requests under way may take at the end.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,

    /// Seconds before that, in which new connections are still taken: whoever
    /// sends them has to hear first that this pod leaves.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    leaving: u64,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Bootstrap(BootstrapArgs { pod, memory_limit }) => {
            let limit = Some(memory_limit).filter(|limit| *limit > 0);
            let path = write_bootstrap(&pod.namespace, &pod.pod_name, &pod.shared_dir, limit)?;
            tracing::info!(path = %path.display(), "wrote the bootstrap");
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(args) => serve(args),
    }
}

fn serve(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let options = CompanionOptions {
        namespace: args.pod.namespace,
        pod: args.pod.pod_name,
        operator: args.operator,
        xds_port: args.xds_port,
        enrolment_port: args.enrolment_port,
        token: args.token_file,
        bundle: args.ca_file,
        shared: args.pod.shared_dir,
        drain: Duration::from_secs(args.drain),
        leaving: Duration::from_secs(args.leaving),
    };
    runtime.block_on(async {
        let mut signals = Signals::new().context("listening to signals")?;
        let companion = run_companion(options, async move { signals.next().await });
        Box::pin(companion).await?;
        Ok(ExitCode::SUCCESS)
    })
}
