//! Manifests in, xDS out: the operator's own rooms behind one socket.
//!
//! What `sluice dev` does with a folder, a [`Server`] does with objects, with
//! nothing between the trial and the rooms: apply, and know when every gateway
//! has acknowledged.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sluice_envoy::{Assembly, Edge, Update};
use sluice_ir::ObjectKey;
use sluice_translate::{Backends, Changes, Config, Object, ObjectKind, World};
use sluice_xds::{Fleet, Listener, Publisher, Revision, Settings};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::{TrialError, manifest};

/// How long gateways may take to acknowledge; far beyond what any change needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The private gateway's name in a [`Server`]'s world.
pub const PRIVATE_GATEWAY: &str = "sluice-internal.sluice-system.svc.cluster.local";

/// World, assembly, publisher and xDS server in this process.
pub struct Server {
    world: World,
    assembly: Assembly,
    publisher: Publisher,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// What one change led to.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its revision, acknowledged by every connected gateway.
    pub revision: Revision,
    /// What of the world it changed.
    pub changes: Changes,
    /// Resources that were new or changed.
    pub upserts: usize,
    /// Resources that are gone.
    pub removals: usize,
    /// From handing the objects in to the last acknowledgement.
    pub took: Duration,
}

/// The configuration of every [`Server`]'s world.
///
/// # Errors
/// None in practice: the names are constants.
pub fn config() -> Result<Config, TrialError> {
    let names = [
        PRIVATE_GATEWAY,
        "sluice-internal.sluice-system.svc",
        "sluice-internal.sluice-system",
    ];
    let parsed = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>();
    Ok(Config {
        cluster_suffix: "cluster.local".to_owned(),
        private_gateways: parsed
            .map_err(|e: sluice_ir::HostError| TrialError::Manifest(e.to_string()))?,
        allow_loopback: true,
        backends: Backends::Plain,
    })
}

impl Server {
    /// Starts to serve a world of these objects on a Unix socket; a socket file
    /// that a killed server left behind is replaced.
    ///
    /// # Errors
    /// The socket cannot be bound.
    pub fn start(
        edge: &Edge,
        socket: &Path,
        settings: Settings,
        objects: Vec<Object>,
    ) -> Result<Self, TrialError> {
        let mut server = Self::build(edge, socket, settings)?;
        let mut first = server.assembly.initial();
        for object in objects {
            server.world.apply(object);
        }
        let (_, update) = server.settle();
        first.upserts.extend(update.upserts);
        first.held.extend(update.held);
        server.publisher.publish(first);
        Ok(server)
    }

    fn build(edge: &Edge, socket: &Path, settings: Settings) -> Result<Self, TrialError> {
        let action = || format!("bind the xDS socket {}", socket.display());
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(TrialError::io(action())(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(socket).map_err(TrialError::io(action()))?;
        let publisher = Publisher::new(settings);
        let (shutdown, stopped) = oneshot::channel::<()>();
        let serving = {
            let publisher = publisher.clone();
            tokio::spawn(async move {
                let stopped = async move {
                    // An error is a server that was dropped: the same wish.
                    let _ = stopped.await;
                };
                // A failing socket shows as gateways that never acknowledge.
                let _ = sluice_xds::serve(Listener::Unix(listener), publisher, stopped).await;
            })
        };
        Ok(Self {
            world: World::new(config()?, jiff::Timestamp::now()),
            assembly: Assembly::new(edge),
            publisher,
            shutdown: Some(shutdown),
            serving,
        })
    }

    /// Applies manifests and waits until every gateway has acknowledged.
    ///
    /// # Errors
    /// Manifests that do not read, no acknowledgement, or a refused resource.
    pub async fn apply(&mut self, manifests: &[Value]) -> Result<Published, TrialError> {
        let objects = manifests.iter().map(manifest::object);
        self.apply_objects(objects.collect::<Result<_, _>>()?).await
    }

    /// As [`Server::apply`], for objects.
    ///
    /// # Errors
    /// As [`Server::apply`].
    pub async fn apply_objects(&mut self, objects: Vec<Object>) -> Result<Published, TrialError> {
        self.change(objects, &[]).await
    }

    /// Deletes an object and waits until every gateway has acknowledged.
    ///
    /// # Errors
    /// As [`Server::apply`].
    pub async fn delete(
        &mut self,
        kind: ObjectKind,
        namespace: &str,
        name: &str,
    ) -> Result<Published, TrialError> {
        let key = ObjectKey::new(namespace, name);
        self.change(Vec::new(), &[(kind, key)]).await
    }

    /// Deletes and applies in one revision, and waits until every gateway has
    /// acknowledged.
    ///
    /// # Errors
    /// As [`Server::apply`].
    pub async fn change(
        &mut self,
        apply: Vec<Object>,
        delete: &[(ObjectKind, ObjectKey)],
    ) -> Result<Published, TrialError> {
        let begun = Instant::now();
        for (kind, key) in delete {
            self.world.delete(*kind, key);
        }
        for object in apply {
            self.world.apply(object);
        }
        self.settle_and_publish(begun).await
    }

    /// Has backends speak TLS, trusted by these roots (PEM), and waits until every
    /// gateway has acknowledged.
    ///
    /// # Errors
    /// As [`Server::apply`].
    pub async fn trust_backends(&mut self, roots: &str) -> Result<Published, TrialError> {
        let begun = Instant::now();
        let update = self.assembly.set_trust(roots);
        self.publisher.publish(update);
        self.world.set_backends(Backends::Tls);
        self.settle_and_publish(begun).await
    }

    async fn settle_and_publish(&mut self, begun: Instant) -> Result<Published, TrialError> {
        let (changes, update) = self.settle();
        let (upserts, removals) = (update.upserts.len(), update.removals.len());
        let revision = self.publish(update).await?;
        let refused = self.publisher.fleet().quarantined;
        if !refused.is_empty() {
            return Err(TrialError::Refused(format!("{refused:?}")));
        }
        Ok(Published {
            revision,
            changes,
            upserts,
            removals,
            took: begun.elapsed(),
        })
    }

    fn settle(&mut self) -> (Changes, Update) {
        let changes = self.world.settle();
        let update = self.assembly.apply(&changes.plans, &changes.endpoints);
        (changes, update)
    }

    /// Publishes an update as it stands, past world and assembly, and waits
    /// until every gateway has acknowledged or refused it.
    ///
    /// # Errors
    /// [`TrialError::NeverCame`].
    pub async fn publish(&mut self, update: Update) -> Result<Revision, TrialError> {
        let revision = self.publisher.publish(update);
        self.acked(revision).await?;
        Ok(revision)
    }

    /// Waits until every connected gateway, and at least one, has acknowledged.
    ///
    /// # Errors
    /// [`TrialError::NeverCame`].
    pub async fn acked(&self, revision: Revision) -> Result<(), TrialError> {
        let acked = timeout(PATIENCE, self.publisher.acked(revision)).await;
        acked.map_err(|_| TrialError::NeverCame {
            what: format!("the acknowledgement of revision {revision:?}"),
            waited: PATIENCE,
            state: format!("{:?}", self.publisher.fleet()),
        })
    }

    /// Waits until what is published now is acknowledged.
    ///
    /// # Errors
    /// [`TrialError::NeverCame`].
    pub async fn settled(&self) -> Result<(), TrialError> {
        self.acked(self.publisher.revision()).await
    }

    /// What is published, to be served in other ways too.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// What gateways hold and said.
    #[must_use]
    pub fn fleet(&self) -> Fleet {
        self.publisher.fleet()
    }

    /// All resources as built.
    #[must_use]
    pub fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// The world as last settled.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            // An error is a server that ended by itself.
            let _ = shutdown.send(());
        }
        self.serving.abort();
    }
}
