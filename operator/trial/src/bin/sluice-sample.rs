//! The sample backend as a program: `PORT=8080 NAME=hello sluice-sample`.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use sluice_trial::TrialError;
use sluice_trial::backend::Backend;

/// Answers with what it received; see `?status=`, `?delay-ms=`, `?pause-ms=`, `?reset`, `?size=`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// What its answers call it.
    #[arg(long, env = "NAME", default_value = "sample")]
    name: String,
    /// Address to listen on.
    #[arg(long, env = "ADDRESS", default_value = "127.0.0.1")]
    address: std::net::IpAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot serve");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), TrialError> {
    let address = SocketAddr::new(arguments.address, arguments.port);
    let backend = Backend::listen(&arguments.name, address).await?;
    tracing::info!(name = backend.name(), address = %backend.address(), "listening");
    tokio::select! {
        () = backend.serve_forever() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(TrialError::io("wait for an interrupt"))
        }
    }
}
