//! Kubernetes events about Ingresses: what is wrong, where people look for it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use sluice_ir::{ObjectKey, Rejection};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::status::cut;
use crate::watch::{Slim, StoredIngress};

/// Who reports, as events name it.
const CONTROLLER: &str = "sluice.dev/controller";
/// Events that wait; more are dropped: the status says the same.
const WAITING: usize = 256;
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an Ingress's name that the name of its event holds.
const NAME_BYTES: usize = 200;

/// Something to tell of an Ingress.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) ingress: ObjectKey,
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) refused: bool,
    pub(crate) rejection: Rejection,
}

/// Tells notices one by one, and holds up nobody.
#[derive(Debug)]
pub(crate) struct Herald {
    notices: mpsc::Sender<Notice>,
    task: AbortHandle,
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Herald {
    pub(crate) fn start(client: Client, instance: String) -> Self {
        let (sender, mut notices) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            while let Some(notice) = notices.recv().await {
                tell(&client, &instance, &notice).await;
            }
        });
        Self {
            notices: sender,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn tell(&self, notice: Notice) {
        if let Err(error) = self.notices.try_send(notice) {
            tracing::debug!("an event is dropped: {error}");
        }
    }
}

async fn tell(client: &Client, instance: &str, notice: &Notice) {
    let api: Api<Event> = Api::namespaced(client.clone(), &notice.ingress.namespace);
    let event = event(notice, instance, Timestamp::now());
    let params = PostParams::default();
    match tokio::time::timeout(PATIENCE, api.create(&params, &event)).await {
        Ok(Ok(_)) => {}
        // Another replica, or this one before it started anew, told it.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
        Ok(Err(error)) => {
            tracing::warn!(ingress = %notice.ingress, "an event is not written: {error}");
        }
        Err(_) => tracing::warn!(ingress = %notice.ingress, "an event is not written in time"),
    }
}

/// The event; its name is a function of what it tells, so that it is told once.
pub(crate) fn event(notice: &Notice, instance: &str, now: Timestamp) -> Event {
    type Ingress = Slim<StoredIngress>;
    let Notice {
        ingress,
        uid,
        generation,
        refused,
        rejection,
    } = notice;
    let mut hasher = DefaultHasher::new();
    (uid, generation, rejection.reason, &rejection.field).hash(&mut hasher);
    // Names are ASCII; one that is not would be refused by the API server.
    let stem: String = ingress.name.chars().take(NAME_BYTES).collect();
    let stem = stem.trim_end_matches(['-', '.']);
    Event {
        metadata: ObjectMeta {
            namespace: Some(ingress.namespace.clone()),
            name: Some(format!("{stem}.{:016x}", hasher.finish())),
            ..ObjectMeta::default()
        },
        type_: Some("Warning".into()),
        reason: Some(rejection.reason.to_string()),
        note: Some(cut(format!(
            "{}: found {}, expected {}; {}",
            rejection.field, rejection.found, rejection.expected, rejection.fix
        ))),
        action: Some(if *refused { "Refuse" } else { "ServeInPart" }.into()),
        event_time: Some(MicroTime(now)),
        regarding: Some(ObjectReference {
            api_version: Some(Ingress::api_version(&()).into_owned()),
            kind: Some(Ingress::kind(&()).into_owned()),
            namespace: Some(ingress.namespace.clone()),
            name: Some(ingress.name.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use sluice_ir::Reason;

    use super::*;

    fn notice(generation: i64, reason: Reason) -> Notice {
        Notice {
            ingress: ObjectKey::new("ns", "web"),
            uid: "1-2".into(),
            generation,
            refused: reason.refuses(),
            rejection: Rejection {
                reason,
                field: "spec.rules[0].hosts".into(),
                found: "nothing".into(),
                expected: "a host".into(),
                fix: "name one".into(),
            },
        }
    }

    fn named(notice: &Notice) -> String {
        let event = event(notice, "pod", Timestamp::UNIX_EPOCH);
        event.metadata.name.unwrap()
    }

    #[test]
    fn an_event_says_what_a_rejection_says() {
        let event = event(
            &notice(1, Reason::HostRequired),
            "pod",
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(event.reason.as_deref(), Some("HostRequired"));
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.action.as_deref(), Some("Refuse"));
        assert_eq!(
            event.note.as_deref(),
            Some("spec.rules[0].hosts: found nothing, expected a host; name one")
        );
        let regarding = event.regarding.unwrap();
        let api_version = regarding.api_version.unwrap();
        assert_eq!(api_version, "networking.internal.knative.dev/v1alpha1");
        assert_eq!(regarding.namespace, event.metadata.namespace);
    }

    #[test]
    fn the_same_news_have_the_same_name_and_other_news_another() {
        let first = named(&notice(1, Reason::HostRequired));
        assert_eq!(first, named(&notice(1, Reason::HostRequired)));
        assert_ne!(first, named(&notice(2, Reason::HostRequired)));
        assert_ne!(first, named(&notice(1, Reason::DomainConflict)));
    }

    #[test]
    fn a_long_name_still_makes_a_valid_one() {
        let mut long = notice(1, Reason::HostRequired);
        long.ingress.name = format!("{}-{}", "a".repeat(199), "b".repeat(53));
        let name = named(&long);
        assert!(name.len() <= 253);
        assert!(!name.contains("-."), "{name}");
    }
}
