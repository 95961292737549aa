//! `sluice dev`: the folder, the xDS server and Envoy, wired and kept running.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_envoy::{Bootstrap, Edge, XdsAddress, bootstrap};
use sluice_gateway::{
    Backoff, EnvoyOptions, GatewayError, Launcher, ListenAddress, LocateEnvoy, RunDir, Supervised,
    locate,
};
use sluice_xds::{Publisher, Settings, XdsError, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, interval_at, sleep, timeout};

use crate::config::config;
use crate::error::DevError;
use crate::event::{Event, GatewayState, Listen};
use crate::folder::{Change, Folder};
use crate::pipeline::{Pipeline, milliseconds};
use crate::port::Ports;
use crate::watch::Watch;

/// How often certificates are judged by the time it is.
const CLOCK: Duration = Duration::from_secs(60);

/// Connections that the gateway holds at most: plenty for one machine.
const CONNECTION_LIMIT: u32 = 50_000;

/// How often the readiness port is asked while the gateway is not ready.
const ASK_READY: Duration = Duration::from_millis(10);

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
    let (supervised, mut gateway) = Supervised::start(envoy, Backoff::default())
        .await
        .map_err(|error| with_flag(error, &listen))?;

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

fn envoy_options(
    options: &DevOptions,
    listen: &Listen,
    run_dir: &RunDir,
    binary: PathBuf,
    xds: &Path,
) -> Result<EnvoyOptions, DevError> {
    let bootstrap = bootstrap(&Bootstrap {
        node: "dev".into(),
        cluster: "sluice-dev".into(),
        xds: XdsAddress::Unix(xds.to_owned()),
        admin: run_dir.socket("admin.sock")?,
        heap_limit: None,
        connection_limit: CONNECTION_LIMIT,
    })?;
    let listens = listen
        .by_name()
        .into_iter()
        .map(|(listener, _, address)| ListenAddress {
            listener: listener.into(),
            address,
        })
        .collect();
    Ok(EnvoyOptions {
        concurrency: options.workers,
        launcher: options.launcher.clone(),
        listens,
        ..EnvoyOptions::new(binary, bootstrap, run_dir.path().to_owned())
    })
}

/// Says in the words of this command's flags which port is not to be had.
fn with_flag(error: GatewayError, listen: &Listen) -> DevError {
    let flag_of = |listener: &str| {
        listen
            .by_name()
            .into_iter()
            .find(|(name, _, _)| *name == listener)
            .map(|(_, flag, _)| flag)
    };
    match error {
        GatewayError::AddressInUse { listener, address } => match flag_of(&listener) {
            Some(flag) => DevError::PortInUse { address, flag },
            None => GatewayError::AddressInUse { listener, address }.into(),
        },
        GatewayError::Bind { failure } => match flag_of(&failure.listener) {
            Some(flag) => DevError::Bind { failure, flag },
            None => GatewayError::Bind { failure }.into(),
        },
        error => error.into(),
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

/// The xDS server on its socket.
struct Server {
    socket: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), XdsError>>,
}

impl Server {
    fn start(run_dir: &RunDir, publisher: Publisher) -> Result<Self, DevError> {
        let socket = run_dir.socket("xds.sock")?;
        let listener = UnixListener::bind(&socket).map_err(|source| DevError::Socket {
            path: socket.clone(),
            source,
        })?;
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            // Gone without a word is told to stop as well.
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(listener, publisher, shutdown));
        Ok(Self { socket, stop, task })
    }

    /// Ends the server; Envoy is gone, so there is nothing to wait long for.
    async fn stop(self) {
        let Self { stop, task, .. } = self;
        // Fails only if the server has ended already.
        let _ = stop.send(());
        let abort = task.abort_handle();
        if timeout(Duration::from_secs(1), task).await.is_err() {
            abort.abort();
        }
    }
}

fn server_end(ended: Result<Result<(), XdsError>, tokio::task::JoinError>) -> DevError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => DevError::BrokeOff {
            part: "the xDS server",
        },
    }
}

/// Whether the gateway holds everything, and answers so on its readiness port.
struct Readiness {
    address: SocketAddr,
    publisher: Publisher,
    asking: Option<JoinHandle<()>>,
    /// When Envoy was started first, or ended last.
    since: Instant,
    was_reached: bool,
}

impl Readiness {
    fn new(address: SocketAddr, publisher: Publisher) -> Self {
        Self {
            address,
            publisher,
            asking: None,
            since: Instant::now(),
            was_reached: false,
        }
    }

    fn ask(&mut self) {
        self.forget();
        let (address, publisher) = (self.address, self.publisher.clone());
        self.asking = Some(tokio::spawn(async move {
            until_ready(address).await;
            // The answer may be here before the acknowledgement.
            publisher.acked(publisher.revision()).await;
        }));
    }

    fn ended(&mut self) {
        self.forget();
        self.since = Instant::now();
    }

    fn forget(&mut self) {
        if let Some(task) = self.asking.take() {
            task.abort();
        }
    }

    /// Resolves with the milliseconds it took; never while nothing is asked.
    async fn reached(&mut self) -> f64 {
        let Some(task) = &mut self.asking else {
            return std::future::pending().await;
        };
        let answered = task.await;
        self.asking = None;
        if answered.is_err() {
            return std::future::pending().await;
        }
        self.was_reached = true;
        milliseconds(self.since)
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Asks `GET /ready` until the answer is 200.
async fn until_ready(address: SocketAddr) {
    let dialled = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(dialled, address.port());
    while !matches!(
        timeout(Duration::from_secs(1), is_ready(address)).await,
        Ok(Ok(true))
    ) {
        sleep(ASK_READY).await;
    }
}

async fn is_ready(address: SocketAddr) -> io::Result<bool> {
    const OK: &[u8] = b"HTTP/1.1 200";
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /ready HTTP/1.1\r\nhost: ready\r\nconnection: close\r\n\r\n")
        .await?;
    let mut start = [0; OK.len()];
    stream.read_exact(&mut start).await?;
    Ok(start == OK)
}
