//! What stands between the pipeline and Envoy: the xDS socket, the bootstrap, and
//! the words for what is wrong with a port.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_envoy::{Bootstrap, XdsAddress, bootstrap};
use sluice_gateway::{EnvoyOptions, GatewayError, ListenAddress, RunDir};
use sluice_xds::{Publisher, XdsError, serve};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::DevError;
use crate::event::Listen;
use crate::run::DevOptions;

/// Connections that the gateway holds at most: plenty for one machine.
const CONNECTION_LIMIT: u32 = 50_000;

/// The xDS server on its socket.
pub(crate) struct Server {
    pub(crate) socket: PathBuf,
    stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<Result<(), XdsError>>,
}

impl Server {
    pub(crate) fn start(run_dir: &RunDir, publisher: Publisher) -> Result<Self, DevError> {
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
    pub(crate) async fn stop(self) {
        let Self { stop, task, .. } = self;
        // Fails only if the server has ended already.
        let _ = stop.send(());
        let abort = task.abort_handle();
        if timeout(Duration::from_secs(1), task).await.is_err() {
            abort.abort();
        }
    }
}

/// Why the server ended by itself.
pub(crate) fn server_end(ended: Result<Result<(), XdsError>, tokio::task::JoinError>) -> DevError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => DevError::BrokeOff {
            part: "the xDS server",
        },
    }
}

/// What Envoy is started with.
pub(crate) fn envoy_options(
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
pub(crate) fn with_flag(error: GatewayError, listen: &Listen) -> DevError {
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
