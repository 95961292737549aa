//! Becomes another program that ends when this one's parent does. Not for people.

use std::ffi::OsString;
use std::process::ExitCode;

use sluice_gateway::exec_bound_to_parent;

/// How the command is called.
pub(super) const NAME: &str = "exec-bound";

/// What [`sluice_gateway::Launcher`] puts on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Process id of the parent, program, its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<OsString>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    Err(exec_bound_to_parent(args.arguments).into())
}
