//! One real Envoy on loopback, fed over a Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_envoy::{Bootstrap, Edge, XdsAddress, bootstrap};
use sluice_gateway::{Admin, Envoy, EnvoyOptions, Launcher, RunDir};
use tokio::time::{Instant, sleep};

use crate::TrialError;
use crate::line::{Ask, Line, Mode, Target};
use crate::ports::Ports;

/// How long a gateway may take from its start to its first 200.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a gateway is going to be: its ports and its folder. Made first, so
/// that a server can be started on [`Place::xds_socket`] before or after.
#[derive(Debug)]
pub struct Place {
    // Held until the gateway is gone, so that nobody else takes the ports.
    _ports: Ports,
    edge: Edge,
    folder: RunDir,
}

impl Place {
    /// Takes free ports and makes a folder.
    ///
    /// # Errors
    /// No ports, no folder.
    pub fn new() -> Result<Self, TrialError> {
        let (ports, edge) = Ports::take()?;
        Ok(Self {
            _ports: ports,
            edge,
            folder: RunDir::create()?,
        })
    }

    /// The listeners' addresses.
    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The listeners' addresses and settings, for trials that change them
    /// before the start.
    pub fn edge_mut(&mut self) -> &mut Edge {
        &mut self.edge
    }

    /// Where the gateway looks for its xDS server.
    #[must_use]
    pub fn xds_socket(&self) -> PathBuf {
        self.folder.path().join("xds.sock")
    }

    /// What the gateway tells of requests, where its edge asks for that.
    #[must_use]
    pub fn told(&self) -> PathBuf {
        self.folder.path().join("requests.log")
    }

    /// The folder, removed with the gateway.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A running Envoy; it ends when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    // Before the place: the process must be gone when its folder is removed.
    envoy: Envoy,
    place: Place,
}

impl Gateway {
    /// Starts Envoy at its place. What it serves comes from the server.
    ///
    /// # Errors
    /// Envoy does not start.
    pub async fn start(binary: &Path, place: Place) -> Result<Self, TrialError> {
        let bootstrap = bootstrap(&Bootstrap {
            node: format!("trial-{}", place.edge.readiness.port()),
            cluster: "trial".to_owned(),
            xds: XdsAddress::Unix(place.xds_socket()),
            admin: place.folder.path().join("admin.sock"),
            heap_limit: None,
            connection_limit: 20_000,
        })?;
        let options = EnvoyOptions {
            launcher: launcher(),
            output: Some(place.told()),
            ..EnvoyOptions::new(binary.to_owned(), bootstrap, place.folder().to_owned())
        };
        let envoy = Envoy::start(options).await?;
        Ok(Self { envoy, place })
    }

    /// Waits until the gateway says of itself that it holds all it must serve.
    ///
    /// # Errors
    /// [`TrialError::NeverCame`], with Envoy's last words.
    pub async fn ready(&self) -> Result<(), TrialError> {
        let begun = Instant::now();
        let line = Line::new(Target::plain(self.edge().readiness, Mode::Fresh));
        let ask = Ask::get("readiness", "/ready");
        loop {
            let outcome = line.send(&ask).await.outcome;
            if outcome.as_ref().is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(TrialError::NeverCame {
                    what: "a gateway that is ready".to_owned(),
                    waited: PATIENCE,
                    state: format!("{outcome:?}; {:?}", self.envoy.last_lines()),
                });
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The listeners' addresses.
    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.place.edge
    }

    /// Where the gateway is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its admin interface.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        self.envoy.admin()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.envoy.last_lines()
    }

    /// One of its counters or gauges; `None` where it does not exist (yet).
    ///
    /// # Errors
    /// The admin interface does not answer.
    pub async fn stat(&self, name: &str) -> Result<Option<u64>, TrialError> {
        Ok(self.admin().stats(name).await?.get(name).copied())
    }

    /// Ends the gateway at once; another can be started at its place, which
    /// then holds nothing of what this one held.
    pub async fn stop(self) -> Place {
        self.envoy.stop(Duration::ZERO).await;
        self.place
    }
}

/// The trial launcher beside this executable, if it was built: with it no Envoy
/// outlives a test that is killed.
fn launcher() -> Option<Launcher> {
    let executable = std::env::current_exe().ok()?;
    // Test executables stand one folder below the programs.
    let folders = executable.ancestors().skip(1).take(2);
    let program = folders
        .map(|folder| folder.join("sluice-trial-xds"))
        .find(|program| program.is_file())?;
    Some(Launcher {
        program,
        arguments: vec![LAUNCH.into()],
    })
}

/// The argument that makes `sluice-trial-xds` a launcher.
pub const LAUNCH: &str = "launch";

/// `$ENVOY`, or `envoy` on `PATH`: trials run what is there and fetch nothing.
#[must_use]
pub fn locate() -> Option<PathBuf> {
    let named = std::env::var_os("ENVOY").filter(|path| !path.is_empty());
    if let Some(named) = named {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("envoy"))
        .find(|candidate| candidate.is_file())
}
