//! What the commands that ask have between them: the way to a cluster, the way out.

use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use sluice_ask::{AskError, Pages};

use super::cluster::Connected;
use super::exit::{Exit, Failure};

/// Where Sluice is installed, unless it is told otherwise.
pub(super) const NAMESPACE: &str = "sluice-system";

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// Runs on this thread until the answer is there.
pub(super) fn wait_for<T>(answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(answer)
}

/// The pages of the operator in that namespace.
pub(super) async fn pages(connected: &Connected, namespace: &str) -> anyhow::Result<Pages> {
    let pages = Pages::open(connected.client.clone(), namespace).await;
    pages.map_err(|error| failure(connected, error))
}

/// An error with the cluster's name, and with its exit code.
pub(super) fn failure(connected: &Connected, error: AskError) -> anyhow::Error {
    let unreachable = error.is_unreachable();
    let error = anyhow::Error::new(error).context(format!("context {}", connected.context));
    if unreachable {
        let error = error.context(format!("asking {}", connected.url));
        return Failure::new(Exit::Unreachable, error).into();
    }
    error
}

/// Prints; a reader that has seen enough (`| head`) is no fault.
pub(super) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
