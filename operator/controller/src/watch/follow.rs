//! One watch, kept going.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use sluice_ir::ObjectKey;
use tokio::sync::mpsc;

use super::relist::Relist;
use super::slim::{Slim, Watched};
use super::{Input, Queued, Source};
use crate::health::Health;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Short, since a CRD that is installed a moment later should not be noticed half
/// a minute later.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Follows a resource until the loop is gone.
pub(crate) async fn follow<T: Watched>(
    source: Source,
    api: Api<Slim<T>>,
    config: watcher::Config,
    inputs: mpsc::Sender<Queued>,
    health: Arc<Health>,
) {
    let mut events = pin!(watcher(api, config));
    let mut relist = Relist::default();
    let mut odd = Oddities::default();
    let mut pause = FIRST_PAUSE;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                complain(source, &error, &health);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        // A list begins before the server was asked: no sign of life.
        if !matches!(event, Event::Init) {
            pause = FIRST_PAUSE;
            health.watch_event(source);
        }
        odd.tell(source, &event);
        for input in take(source, event, &mut relist) {
            if inputs.send(Queued::now(input)).await.is_err() {
                return;
            }
        }
    }
}

/// What an event means for the loop.
pub(crate) fn take<T: Watched>(
    source: Source,
    event: Event<Slim<T>>,
    relist: &mut Relist,
) -> Vec<Input> {
    match event {
        Event::Init => {
            relist.begin();
            Vec::new()
        }
        Event::InitApply(object) => {
            relist.list(object.key());
            applied(source, object)
        }
        Event::Apply(object) => {
            relist.apply(object.key());
            applied(source, object)
        }
        Event::Delete(object) => {
            let key = object.key();
            relist.delete(&key);
            vec![T::gone(source, key)]
        }
        Event::InitDone => {
            let mut inputs: Vec<Input> = relist
                .end()
                .into_iter()
                .map(|key| T::gone(source, key))
                .collect();
            inputs.push(Input::Listed(source));
            inputs
        }
    }
}

fn applied<T: Watched>(source: Source, object: Slim<T>) -> Vec<Input> {
    object.into_input(source).into_iter().collect()
}

/// What is odd about which object: told once, not with each event of it.
#[derive(Debug, Default)]
pub(crate) struct Oddities(BTreeMap<ObjectKey, Vec<String>>);

impl Oddities {
    /// Logs what is odd about an object and was not so before; gives how much.
    pub(crate) fn tell<T: Watched>(&mut self, source: Source, event: &Event<Slim<T>>) -> usize {
        let (Event::Apply(object) | Event::InitApply(object)) = event else {
            if let Event::Delete(object) = event {
                self.0.remove(&object.key());
            }
            return 0;
        };
        let key = object.key();
        if object.warnings.is_empty() {
            self.0.remove(&key);
            return 0;
        }
        if self.0.get(&key) == Some(&object.warnings) {
            return 0;
        }
        for warning in &object.warnings {
            tracing::warn!(%source, object = %key, "{warning}");
        }
        self.0.insert(key, object.warnings.clone());
        object.warnings.len()
    }
}

fn complain(source: Source, error: &watcher::Error, health: &Health) {
    if is_expired(error) {
        tracing::debug!(%source, "the watch is too old; listing again");
        return;
    }
    let complaint = complaint(source, error);
    tracing::warn!(%source, "{complaint}");
    health.watch_failed(source, complaint);
}

/// Whether the server only forgot the version at which the watch stood.
fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

/// What is wrong, with what to do where that is known.
pub(crate) fn complaint(source: Source, error: &watcher::Error) -> String {
    let resource = source.resource();
    let (verb, cause) = match error {
        watcher::Error::InitialListFailed(cause) => ("list", cause),
        watcher::Error::WatchStartFailed(cause) | watcher::Error::WatchFailed(cause) => {
            ("watch", cause)
        }
        watcher::Error::WatchError(status) => {
            return format!("cannot watch {resource}: {}", status.message);
        }
        watcher::Error::NoResourceVersion => {
            return format!("cannot watch {resource}: the answer has no resourceVersion");
        }
    };
    match cause {
        kube::Error::Api(status) if status.code == 403 => format!(
            "cannot {verb} {resource}: found 403, expected the right to; grant get, list and \
             watch on {resource} ({source}) to sluice's service account: {}",
            status.message
        ),
        kube::Error::Api(status) if status.code == 404 => format!(
            "cannot {verb} {resource}: found 404, expected this resource; install the \
             CustomResourceDefinitions of Knative Serving"
        ),
        kube::Error::Api(status) => {
            format!(
                "cannot {verb} {resource}: {} {}",
                status.code, status.message
            )
        }
        // What could not be read is not shown: it may hold a Secret.
        kube::Error::SerdeError(_) => {
            format!("cannot {verb} {resource}: the answer is not the JSON of a list")
        }
        other => format!("cannot {verb} {resource}: {other}"),
    }
}
