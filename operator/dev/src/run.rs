//! `sluice dev`: the folder, the xDS server and Envoy, wired and kept running.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_envoy::Edge;
use sluice_gateway::{Backoff, GatewayError, Launcher, LocateEnvoy, RunDir, Supervised, locate};
use sluice_xds::{Publisher, Settings};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval_at};

use crate::config::config;
use crate::error::DevError;
use crate::event::{Event, GatewayState, Listen};
use crate::folder::{Change, Folder};
use crate::gateway::{Server, envoy_options, server_end, with_flag};
use crate::pipeline::Pipeline;
use crate::port::Ports;
use crate::readiness::Readiness;
use crate::watch::Watch;

/// How often certificates are judged by the time it is.
const CLOCK: Duration = Duration::from_secs(60);

/// How `sluice dev` is to run.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// The folder of manifests.
    pub folder: PathBuf,
    /// The address that all listeners bind.
    pub bind: IpAddr,
    /// The port of each listener.
    pub ports: Ports,
    /// Where Envoy is looked for.
    pub envoy: LocateEnvoy,
    /// Binds Envoy's life to this process, even against SIGKILL.
    pub launcher: Option<Launcher>,
    /// Envoy's worker threads; `None` for one per processor.
    pub workers: Option<NonZeroU32>,
    /// How long what is under way may take once it is told to stop.
    pub drain: Duration,
}

impl DevOptions {
    /// Loopback, the default ports, Envoy from the environment, two workers,
    /// 5 s to drain, no launcher.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Ports::default(),
            envoy: LocateEnvoy::from_environment(None),
            launcher: None,
            workers: NonZeroU32::new(2),
            drain: Duration::from_secs(5),
        }
    }
}

/// What the one who runs it wants of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// End, but let what is under way finish.
    Drain,
    /// End at once.
    Now,
}

/// Serves a folder until it is told to stop (or the sender of `stop` is gone),
/// and tells `sink` what happens. Leaves no process and no file behind.
///
/// # Errors
/// [`DevError`] for what keeps it from running: no folder, no free port, no
/// Envoy. What is wrong with a manifest is told to `sink`.
pub async fn run(
    options: DevOptions,
    mut stop: watch::Receiver<Stop>,
    sink: impl FnMut(Event) + Send,
) -> Result<(), DevError> {
    let begun = Instant::now();
    let root = folder_of(&options.folder)?;
    let listen = options.ports.choose(options.bind)?;
    let edge = edge(&options, &listen);
    let publisher = Publisher::new(Settings::default());
    let mut pipeline = Pipeline::new(config(true), &edge, publisher.clone(), sink);

    // Before the first look: what changes during it is then seen afterwards.
    let (mut watch, unwatched) = Watch::new(root.clone());
    if let Some(error) = unwatched {
        tracing::warn!(%error, "the folder cannot be watched; looking at it again and again");
    }
    let (mut folder, change) = look(Folder::new(root.clone()), Default::default()).await?;
    let (files, objects) = folder.size();
    pipeline.tell(Event::Started {
        folder: root,
        files,
        objects,
        listen,
    });
    pipeline.open(change, &folder, begun);

    let Some(binary) = find_envoy(&options.envoy, &mut pipeline, &mut stop).await? else {
        pipeline.tell(Event::Stopped);
        return Ok(());
    };
    let run_dir = RunDir::create()?;
    let mut server = Server::start(&run_dir, publisher.clone())?;
    let envoy = envoy_options(&options, &listen, &run_dir, binary, &server.socket)?;
    let mut readiness = Readiness::new(listen.readiness, publisher.clone());
    let started = tokio::select! {
        started = Supervised::start(envoy, Backoff::default()) => Some(started),
        _ = stop.wait_for(|stop| *stop != Stop::No) => None,
    };
    let Some(started) = started else {
        pipeline.tell(Event::Stopped);
        return Ok(());
    };
    let (supervised, mut gateway) = started.map_err(|error| with_flag(error, &listen))?;

    let mut fleet = publisher.watch();
    let mut clock = interval_at(Instant::now() + CLOCK, CLOCK);
    let outcome = loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::No) => break Ok(()),
            ended = &mut server.task => break Err(server_end(ended)),
            Some(event) = gateway.recv() => {
                if let Err(error) = follow_gateway(event, &listen, &mut readiness, &mut pipeline) {
                    break Err(error);
                }
            }
            Ok(()) = fleet.changed() => {
                let fleet = fleet.borrow_and_update().clone();
                pipeline.acknowledge(&fleet);
            }
            milliseconds = readiness.reached() => {
                pipeline.acknowledge(&publisher.fleet());
                pipeline.tell(Event::Ready { listen, milliseconds });
            }
            _ = clock.tick() => pipeline.tick(&folder),
            stir = watch.next(folder.is_linked()) => {
                let since = stir.since.unwrap_or_else(Instant::now);
                let (seen, change) = look(folder, (stir.named, stir.writing)).await?;
                folder = seen;
                pipeline.follow(change, &folder, since);
            }
        }
    };
    drop(readiness);
    if outcome.is_ok() {
        pipeline.tell(Event::Gateway {
            state: GatewayState::Draining,
            pid: None,
            message: "stopping; what is under way may finish".into(),
        });
    }
    let drain = if outcome.is_ok() {
        options.drain
    } else {
        Duration::ZERO
    };
    tokio::select! {
        () = supervised.stop(drain) => {}
        // Dropping the drain kills Envoy.
        () = told_now(&mut stop) => {}
    }
    server.stop().await;
    drop(run_dir);
    pipeline.tell(Event::Stopped);
    outcome
}

/// Resolves once the stop is to be at once; never, if nobody can say so any more.
async fn told_now(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn folder_of(path: &Path) -> Result<PathBuf, DevError> {
    let failed = |source| DevError::Folder {
        path: path.to_owned(),
        source,
    };
    let root = path.canonicalize().map_err(failed)?;
    if !root.is_dir() {
        return Err(DevError::NotAFolder {
            path: path.to_owned(),
        });
    }
    // To fail now rather than to serve an empty world.
    std::fs::read_dir(&root).map_err(failed)?;
    Ok(root)
}

/// Looks at the folder on a thread that may block.
async fn look(
    mut folder: Folder,
    (named, writing): (BTreeSet<PathBuf>, BTreeSet<PathBuf>),
) -> Result<(Folder, Change), DevError> {
    spawn_blocking(move || {
        let change = folder.refresh(&named, &writing);
        (folder, change)
    })
    .await
    .map_err(|_| DevError::BrokeOff {
        part: "reading the folder",
    })
}

fn edge(options: &DevOptions, listen: &Listen) -> Edge {
    Edge {
        external_http: listen.http,
        external_https: listen.https,
        internal_http: listen.internal_http,
        internal_https: listen.internal_https,
        readiness: listen.readiness,
        statistics: listen.statistics,
        ..Edge::at(options.bind)
    }
}

/// Finds or fetches Envoy; `None` if it was told to stop meanwhile.
async fn find_envoy<S: FnMut(Event)>(
    request: &LocateEnvoy,
    pipeline: &mut Pipeline<S>,
    stop: &mut watch::Receiver<Stop>,
) -> Result<Option<PathBuf>, DevError> {
    let (sender, mut progress) = mpsc::unbounded_channel();
    let located = locate(request, move |step| {
        // The receiver lives as long as this search.
        let _ = sender.send(step);
    });
    tokio::pin!(located);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::No) => return Ok(None),
            Some(step) = progress.recv() => pipeline.tell(Event::locating(&step)),
            found = &mut located => {
                while let Ok(step) = progress.try_recv() {
                    pipeline.tell(Event::locating(&step));
                }
                return Ok(Some(found?));
            }
        }
    }
}

/// Says what became of Envoy. A listener that could not be opened before the
/// gateway was ready for the first time ends the run.
fn follow_gateway<S: FnMut(Event)>(
    event: sluice_gateway::Event,
    listen: &Listen,
    readiness: &mut Readiness,
    pipeline: &mut Pipeline<S>,
) -> Result<(), DevError> {
    use sluice_gateway::Event as Happened;
    let message = event.to_string();
    let (state, pid) = match event {
        Happened::Started { pid } => {
            readiness.ask();
            (GatewayState::Started, Some(pid))
        }
        Happened::Exited { pid, .. } => {
            readiness.ended();
            (GatewayState::Exited, Some(pid))
        }
        Happened::StartFailed { .. } => (GatewayState::StartFailed, None),
        Happened::Restarting { .. } => (GatewayState::Restarting, None),
        Happened::BindFailed { failure } if !readiness.was_reached => {
            return Err(with_flag(GatewayError::Bind { failure }, listen));
        }
        Happened::BindFailed { .. } => (GatewayState::BindFailed, None),
        Happened::Stopped { .. } => return Ok(()),
    };
    pipeline.tell(Event::Gateway {
        state,
        pid,
        message,
    });
    Ok(())
}
