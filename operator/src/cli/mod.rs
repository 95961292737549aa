//! The command line: one file per command.
//!
//! How a command may end is in [`exit`].

mod ask;
mod bundle;
mod called;
mod check;
mod cluster;
mod completions;
#[cfg(unix)]
mod dev;
#[cfg(unix)]
mod exec_bound;
mod exit;
mod explain;
#[cfg(unix)]
mod gateway;
mod install;
mod lint;
mod man;
mod migrate;
#[cfg(unix)]
mod operator;
mod progress;
#[cfg(unix)]
mod signals;
mod status;
#[cfg(not(unix))]
mod takes_unix;
mod translate;
mod uninstall;
mod upgrade;
mod version;
mod why;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

#[cfg(unix)]
use crate::traces;

/// What Envoy and its supervision warn of is shown as events; a request that failed
/// is told by who sent it.
const LOG: &str = "warn,envoy=error,sluice_gateway=error,kube_client::client::builder=off";

/// Sluice: the Knative cluster-ingress that programs stock Envoy gateways.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, propagate_version = true, after_help = exit::Exit::table())]
struct Cli {
    /// What to log on standard error: error, warn, info, debug, trace, or a
    /// filter such as sluice_xds=debug. The variable RUST_LOG says the same.
    #[arg(long, global = true, env = "RUST_LOG", default_value = LOG, value_name = "FILTER")]
    log_level: EnvFilter,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bundle(bundle::Args),
    Check(check::Args),
    Completions(completions::Args),
    #[cfg(unix)]
    Dev(dev::Args),
    Explain(explain::Args),
    #[cfg(unix)]
    Gateway(gateway::Args),
    Install(install::Args),
    Lint(lint::Args),
    Man(man::Args),
    Migrate(migrate::Args),
    #[cfg(unix)]
    Operator(operator::Args),
    Status(status::Args),
    Translate(translate::Args),
    Uninstall(uninstall::Args),
    Upgrade(upgrade::Args),
    Version(version::Args),
    Why(why::Args),
    #[cfg(unix)]
    #[command(name = exec_bound::NAME, hide = true)]
    ExecBound(exec_bound::Args),
    #[cfg(not(unix))]
    #[command(flatten)]
    TakesUnix(takes_unix::Command),
}

/// Parses the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let line = Cli::command().bin_name(called::name(env::args_os().next().as_deref()));
    let parsed = line.clone().try_get_matches_from(env::args_os());
    let Cli { log_level, command } = parsed
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .unwrap_or_else(|error| error.exit());
    let shown = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(wants_colour(&io::stderr()))
        .with_filter(log_level);
    let registry = tracing_subscriber::registry();
    #[cfg(unix)]
    let (exporting, traces) = traces::layer();
    #[cfg(unix)]
    let registry = registry.with(exporting);
    registry.with(shown).init();
    let outcome = match command {
        Command::Bundle(args) => bundle::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(&args, line),
        #[cfg(unix)]
        Command::Dev(args) => dev::run(args),
        Command::Explain(args) => explain::run(args),
        #[cfg(unix)]
        Command::Gateway(args) => gateway::run(args),
        Command::Install(args) => install::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Man(args) => man::run(&args, line),
        Command::Migrate(args) => migrate::run(&args),
        #[cfg(unix)]
        Command::Operator(args) => operator::run(args, traces),
        Command::Status(args) => status::run(&args),
        Command::Translate(args) => translate::run(&args),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Why(args) => why::run(&args),
        #[cfg(unix)]
        Command::ExecBound(args) => exec_bound::run(args),
        #[cfg(not(unix))]
        Command::TakesUnix(command) => takes_unix::run(&command),
    };
    outcome.unwrap_or_else(|error| {
        // Nowhere is left to complain if this fails.
        let _ = writeln!(io::stderr(), "sluice: {}", told(&error));
        exit::of(&error).into()
    })
}

/// For commands that ask a cluster, one question after the other.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// An error with its causes, but for those that its words quote already.
fn told(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// A terminal whose user has not asked for plain text (<https://no-color.org>:
/// the variable is there and not empty).
fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
