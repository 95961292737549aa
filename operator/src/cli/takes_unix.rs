//! Commands that take Unix, on another system: named, and refused with a reason.
//! They run gateways or belong into a pod; whatever asks a cluster or reads files is
//! the same everywhere.

use std::ffi::OsString;
use std::process::ExitCode;

/// What is refused. The arguments are whatever the command takes on Unix.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Serve a folder of Knative manifests through a local Envoy. Takes Unix.
    Dev(Args),
    /// Run beside the Envoy of a gateway's pod. Takes Unix.
    Gateway(Args),
    /// Turn a cluster's Knative Ingresses into gateways' configuration. Takes Unix.
    Operator(Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

/// Says why not, and how then.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let (name, instead) = match command {
        Command::Dev(_) => ("dev", "run it on Linux, macOS or in WSL"),
        Command::Gateway(_) => ("gateway", "its place is a pod of `sluice install`"),
        Command::Operator(_) => ("operator", "its place is a pod of `sluice install`"),
    };
    let system = std::env::consts::OS;
    anyhow::bail!("`sluice {name}` takes Unix and this is {system}; {instead}")
}
