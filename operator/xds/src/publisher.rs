//! The handle through which the world reaches gateways, and their answers come back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluice_envoy::{Kind, Update};
use tokio::sync::watch;

use crate::{Fleet, Node, Revision, Settings, Store, StreamId};

/// Publishes updates to every gateway. Clones share one world.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Store>,
    settings: Settings,
    /// [`Store::epoch`]: streams look again when it moves.
    epoch: watch::Sender<u64>,
    fleet: watch::Sender<Fleet>,
}

impl Publisher {
    /// An empty world, nothing of which is sent before the first publish.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: Mutex::new(Store::new(settings.clone())),
                settings,
                epoch: watch::Sender::new(0),
                fleet: watch::Sender::new(Fleet::default()),
            }),
        }
    }

    /// Makes the update the world's newest revision, in time proportional to
    /// the update. Equal content is no change: the revision then stays.
    ///
    /// The first publish opens the server, so it must be the whole world:
    /// what it lacks is removed from gateways that reconnect.
    pub fn publish(&self, update: Update) -> Revision {
        self.with_store(|store| store.publish(update))
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.lock().revision()
    }

    /// How many resources are published, by type.
    #[must_use]
    pub fn resources(&self) -> BTreeMap<Kind, usize> {
        self.lock().resources()
    }

    /// A snapshot of all gateways.
    #[must_use]
    pub fn fleet(&self) -> Fleet {
        self.shared.fleet.borrow().clone()
    }

    /// All gateways, as they change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Fleet> {
        self.shared.fleet.subscribe()
    }

    /// Waits until there is a gateway and every connected one acknowledged the
    /// revision. Has no time limit of its own.
    pub async fn acked(&self, revision: Revision) {
        let mut fleet = self.watch();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = fleet.wait_for(|fleet| fleet.has_acked(revision)).await;
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn epochs(&self) -> watch::Receiver<u64> {
        self.shared.epoch.subscribe()
    }

    /// Runs a step on the store, then tells streams and watchers what moved.
    pub(crate) fn with_store<T>(&self, step: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.lock();
        let quarantine_before = store.quarantine_epoch();
        let result = step(&mut store);
        let epoch = store.epoch();
        if store.quarantine_epoch() != quarantine_before {
            let quarantined = store.quarantined();
            self.shared
                .fleet
                .send_modify(|fleet| fleet.quarantined = quarantined);
        }
        drop(store);
        self.shared.epoch.send_if_modified(|seen| {
            let moved = *seen < epoch;
            *seen = (*seen).max(epoch);
            moved
        });
        result
    }

    /// Records what a gateway holds now.
    pub(crate) fn report(&self, stream: StreamId, node: Option<&Node>) {
        self.shared.fleet.send_if_modified(|fleet| {
            let before = match node {
                Some(node) => fleet.nodes.insert(stream, node.clone()),
                None => fleet.nodes.remove(&stream),
            };
            before.as_ref() != node
        });
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // A panic in another stream leaves at worst that stream's step undone.
        self.shared
            .store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}
