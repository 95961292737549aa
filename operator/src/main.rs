//! The one binary of Sluice, a Knative cluster-ingress.
//!
//! *Reads* its command line. *Gives* what the rooms do, wired together. *Never*
//! has a rule of its own. Start at [`cli::run`].

mod cli;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod traces;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
