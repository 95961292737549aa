//! A trial's xDS server as a process of its own; see `sluice_trial::remote`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sluice_envoy::Edge;
use sluice_trial::remote::Sent;
use sluice_trial::server::Server;
use sluice_trial::{TrialError, manifest};
use sluice_xds::Settings;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};

/// The helper process of trials.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve xDS on a socket; then apply each file named on standard input.
    Serve {
        /// The Unix socket.
        socket: PathBuf,
        /// Addresses of the external, internal, readiness and statistics listeners.
        #[arg(num_args = 6, required = true)]
        edge: Vec<SocketAddr>,
        /// YAML files of the world to begin with, behind `--`.
        #[arg(last = true)]
        files: Vec<PathBuf>,
    },
    /// Become a program that ends with its parent.
    #[command(hide = true)]
    Launch {
        /// The parent's process id, the program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Arguments::parse().command {
        Command::Serve {
            socket,
            edge,
            files,
        } => serve(&socket, &edge, &files).await,
        Command::Launch { arguments } => {
            let error = sluice_gateway::exec_bound_to_parent(arguments);
            Err(TrialError::io("become a program bound to its parent")(
                error,
            ))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "trial server failed");
            ExitCode::FAILURE
        }
    }
}

/// Ends with standard input: the parent is gone.
async fn serve(socket: &Path, edge: &[SocketAddr], files: &[PathBuf]) -> Result<(), TrialError> {
    let &[
        external_http,
        external_https,
        internal_http,
        internal_https,
        readiness,
        statistics,
    ] = edge
    else {
        return Err(TrialError::Manifest(format!(
            "{} addresses, not 6",
            edge.len()
        )));
    };
    let edge = Edge {
        external_http,
        external_https,
        internal_http,
        internal_https,
        readiness,
        statistics,
        ..Edge::at(readiness.ip())
    };
    let mut world = Vec::new();
    for file in files {
        world.extend(read(file)?);
    }
    let mut server = Server::start(&edge, socket, Settings::default(), world)?;
    let mut commands = BufReader::new(stdin()).lines();
    let mut answers = stdout();
    let talk = || TrialError::io("talk to the trial");
    while let Some(command) = commands.next_line().await.map_err(talk())? {
        if command.is_empty() {
            server.settled().await?;
        } else {
            server.apply_objects(read(&command.into())?).await?;
        }
        let sent = serde_json::to_string(&Sent::of(&server.fleet()));
        let answer = format!("{}\n", sent.map_err(std::io::Error::other).map_err(talk())?);
        answers.write_all(answer.as_bytes()).await.map_err(talk())?;
        answers.flush().await.map_err(talk())?;
    }
    Ok(())
}

fn read(file: &PathBuf) -> Result<Vec<sluice_translate::Object>, TrialError> {
    let action = TrialError::io(format!("read {}", file.display()));
    manifest::objects(&std::fs::read_to_string(file).map_err(action)?)
}
