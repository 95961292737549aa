//! The demo as a program; `make demo` builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Serves sample manifests through a real Envoy and shows what happens.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The sluice binary.
    #[arg(long, default_value = "target/debug/sluice")]
    sluice: PathBuf,
    /// The folder of sample manifests; it is copied, never changed.
    #[arg(long, default_value = "config/samples/demo")]
    samples: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    match sluice_trial::demo::play(&arguments.sluice, &arguments.samples, &mut out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
