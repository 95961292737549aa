//! Conditions that are waited for, each with what is missing and the next command.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::InstallError;
use crate::cluster::{Cluster, is_code};
use crate::error::told;
use crate::manifest::{Object, Reference};

const INTERVAL: Duration = Duration::from_millis(300);
/// How long one answer may take when the time for all is up.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// When whatever is waited for must have come.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    limit: Duration,
}

impl Deadline {
    /// From now on.
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            limit,
        }
    }

    /// True once it is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.began.elapsed() >= self.limit
    }

    /// Since it was set.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.began.elapsed()
    }

    /// The same, but at most so long from now on.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        Self::within(limit.min(self.limit.saturating_sub(self.began.elapsed())))
    }

    /// Asks again and again until nothing is missing.
    ///
    /// # Errors
    /// [`InstallError::Timeout`] with what was missing last.
    pub async fn until<F, A>(self, what: &str, mut missing: A) -> Result<(), InstallError>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<Option<String>, InstallError>>,
    {
        loop {
            // An API server that does not answer for a moment is no end.
            let remaining = self.limit.saturating_sub(self.began.elapsed());
            let left = match timeout(remaining.max(LAST_ANSWER), missing()).await {
                Ok(Ok(None)) => return Ok(()),
                Ok(Ok(Some(left))) => left,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "who was asked does not answer".to_owned(),
            };
            if self.is_over() {
                return Err(InstallError::Timeout {
                    what: what.to_owned(),
                    after: self.began.elapsed(),
                    missing: left,
                });
            }
            sleep(INTERVAL).await;
        }
    }
}

/// The status of a condition, with its message.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let conditions = object.get("status")?.get("conditions")?.as_array()?;
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == kind)?;
    let word = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default();
    Some((word("status"), word("message")))
}

/// Waits until kinds may be used.
pub(crate) async fn established(
    cluster: &Cluster,
    objects: &[Object],
    deadline: Deadline,
) -> Result<(), InstallError> {
    for object in objects
        .iter()
        .filter(|object| object.reference.is_definition())
    {
        let what = format!("{} is not Established", object.reference);
        deadline
            .until(&what, || async {
                let found = cluster.get(&object.reference).await?;
                let established = found
                    .as_ref()
                    .and_then(|found| condition(found, "Established"));
                Ok(match established {
                    Some(("True", _)) => None,
                    Some((_, message)) => Some(message.to_owned()),
                    None => Some("it has no such condition yet".to_owned()),
                })
            })
            .await?;
    }
    Ok(())
}

/// Waits until all Deployments among these objects are available as they were written;
/// how many there are.
pub(crate) async fn available(
    cluster: &Cluster,
    objects: &[Object],
    deadline: Deadline,
) -> Result<usize, InstallError> {
    let mut count = 0;
    for object in objects
        .iter()
        .filter(|object| object.reference.kind == "Deployment")
    {
        deployment(cluster, &object.reference, deadline).await?;
        count += 1;
    }
    Ok(count)
}

/// Waits until no pod is in a namespace but those of these, which nobody told to go. One that goes with pods in it is looked at again
/// only after half of their longest grace, which is five minutes for Knative's activator.
pub(crate) async fn empty(
    cluster: &Cluster,
    namespace: &str,
    staying: &[Reference],
    deadline: Deadline,
) -> Result<(), InstallError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("Namespace {namespace} is not empty");
    deadline
        .until(&what, || async {
            let found = pods.list_metadata(&ListParams::default()).await;
            Ok(match found {
                Err(error) => Some(told(&error)),
                Ok(found) => found.items.iter().find(|pod| ends(&pod.metadata, staying)).map(|pod| {
                    let name = pod.metadata.name.as_deref().unwrap_or_default();
                    format!(
                        "pod {name} still ends; next: kubectl -n {namespace} describe pod {name}"
                    )
                }),
            })
        })
        .await
}

/// True of a pod that was told to go, or is about to be.
fn ends(pod: &ObjectMeta, staying: &[Reference]) -> bool {
    if pod.deletion_timestamp.is_some() {
        return true;
    }
    let owners = pod.owner_references.iter().flatten();
    let Some(owner) = owners
        .into_iter()
        .find(|owner| owner.controller == Some(true))
    else {
        return false;
    };
    !staying.iter().any(|other| {
        // A ReplicaSet has its Deployment's name, and a hash.
        let of_deployment = other.kind == "Deployment"
            && owner.kind == "ReplicaSet"
            && owner
                .name
                .rsplit_once('-')
                .is_some_and(|(name, _)| name == other.name);
        other.namespace == pod.namespace
            && (of_deployment || (owner.kind == other.kind && owner.name == other.name))
    })
}

/// Waits until a Deployment is available. At the end of patience its pods are asked why.
pub(crate) async fn deployment(
    cluster: &Cluster,
    reference: &Reference,
    deadline: Deadline,
) -> Result<(), InstallError> {
    let what = format!("{reference} is not available");
    let waited = deadline
        .until(&what, || async {
            Ok(match cluster.get(reference).await? {
                Some(found) => unavailable(&found),
                None => Some("it is not there".to_owned()),
            })
        })
        .await;
    match waited {
        Err(InstallError::Timeout {
            what,
            after,
            missing,
        }) => Err(InstallError::Timeout {
            what,
            after,
            missing: match diagnose(cluster, reference).await {
                Some(why) => why,
                None => missing,
            },
        }),
        other => other,
    }
}

/// What a Deployment lacks.
fn unavailable(found: &Value) -> Option<String> {
    let number = |pointer: &str| found.pointer(pointer).and_then(Value::as_i64);
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Some("its controller has not seen it yet".to_owned());
    }
    let wanted = number("/spec/replicas").unwrap_or(1);
    let count = |pointer: &str| number(pointer).unwrap_or(0);
    let (updated, all, ready) = (
        count("/status/updatedReplicas"),
        count("/status/replicas"),
        count("/status/availableReplicas"),
    );
    if updated < wanted || all > updated || ready < wanted {
        return Some(format!(
            "{ready} of {wanted} pods are available, {updated} are new"
        ));
    }
    None
}

/// Why the pods of a Deployment do not run: of the first that does not, its state, its
/// newest warning, and the next command.
async fn diagnose(cluster: &Cluster, reference: &Reference) -> Option<String> {
    let deployment = cluster.get(reference).await.ok()??;
    let namespace = reference.namespace.as_deref()?;
    let labels: BTreeMap<String, String> =
        serde_json::from_value(deployment.pointer("/spec/selector/matchLabels")?.clone()).ok()?;
    let selector: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let pods = pods
        .list(&ListParams::default().labels(&selector.join(",")))
        .await
        .ok()?;
    let Some((pod, state)) = pods.items.iter().find_map(|pod| Some((pod, trouble(pod)?))) else {
        return Some(format!(
            "it has no pod that says why; next: kubectl -n {namespace} describe deployment {}",
            reference.name
        ));
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), namespace);
    let events = events
        .list(&ListParams::default().fields(&format!("involvedObject.name={name},type=Warning")))
        .await;
    let event = events
        .ok()
        .and_then(|events| {
            events
                .items
                .into_iter()
                .filter_map(|event| event.message)
                .next_back()
        })
        .map(|message| format!("; event: {}", message.trim()))
        .unwrap_or_default();
    Some(format!(
        "pod {name}: {state}{event}; next: kubectl -n {namespace} describe pod {name}"
    ))
}

/// What keeps a pod from being ready.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .flatten();
    for container in containers {
        let state = container.state.as_ref();
        if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
            return Some(format!(
                "container {}, image {}: {} {}",
                container.name,
                container.image,
                waiting.reason.as_deref().unwrap_or_default(),
                waiting.message.as_deref().unwrap_or_default()
            ));
        }
        if let Some(ended) = state
            .and_then(|state| state.terminated.as_ref())
            .filter(|ended| ended.exit_code != 0)
        {
            return Some(format!(
                "container {} ended with {}",
                container.name, ended.exit_code
            ));
        }
    }
    let lacking = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.status != "True")?;
    Some(format!(
        "{} is {}: {}",
        lacking.type_,
        lacking.status,
        lacking.message.as_deref().unwrap_or("no reason given")
    ))
}

/// What a pod lacks to be ready.
pub(crate) fn unready(pod: &Pod) -> Option<String> {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    (!ready).then(|| trouble(pod).unwrap_or_else(|| "it has no condition yet".to_owned()))
}

/// Waits until Knative's webhooks are asked and answer: what is right is admitted, what
/// is wrong is not. Nothing is stored.
pub(crate) async fn webhooks(cluster: &Cluster, deadline: Deadline) -> Result<(), InstallError> {
    const TOO_MANY: u64 = 100_000;
    let what = "Knative's webhooks do not answer; next: kubectl -n knative-serving logs deployment/webhook";
    deadline
        .until(what, || async {
            if let Err(error) = try_service(cluster, 0).await {
                return Ok(Some(format!(
                    "a Service that is right is not admitted: {error}"
                )));
            }
            Ok(match try_service(cluster, TOO_MANY).await {
                Ok(()) => {
                    Some("a Service that is wrong is admitted, so no webhook was asked".to_owned())
                }
                Err(_) => None,
            })
        })
        .await
}

async fn try_service(cluster: &Cluster, concurrency: u64) -> Result<(), kube::Error> {
    let service = json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "sluice-install-tried", "namespace": "default"},
        "spec": {"template": {"spec": {
            "containerConcurrency": concurrency,
            "containers": [{"image": "registry.example.com/tried:only"}],
        }}},
    });
    let resource = kube::core::ApiResource {
        group: "serving.knative.dev".to_owned(),
        version: "v1".to_owned(),
        api_version: "serving.knative.dev/v1".to_owned(),
        kind: "Service".to_owned(),
        plural: "services".to_owned(),
    };
    let api: Api<kube::api::DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), "default", &resource);
    let object = serde_json::from_value(service).map_err(kube::Error::SerdeError)?;
    let how = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match api.create(&how, &object).await {
        Ok(_) => Ok(()),
        // One of this name is there; it got past the webhooks.
        Err(error) if is_code(&error, 409) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until an Ingress is Ready.
pub(crate) async fn ready(
    cluster: &Cluster,
    reference: &Reference,
    deadline: Deadline,
) -> Result<(), InstallError> {
    let what = format!(
        "{reference} is not Ready; next: kubectl -n sluice-system logs deployment/sluice-operator"
    );
    deadline
        .until(&what, || async {
            let found = cluster.get(reference).await?;
            Ok(
                match found.as_ref().and_then(|found| condition(found, "Ready")) {
                    Some(("True", _)) => None,
                    Some((_, message)) => Some(message.to_owned()),
                    None => Some("it has no condition yet".to_owned()),
                },
            )
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i64, updated: i64, all: i64, ready: i64) -> Value {
        json!({"metadata": {"generation": 2}, "spec": {"replicas": replicas},
            "status": {"observedGeneration": 2, "updatedReplicas": updated, "replicas": all, "availableReplicas": ready}})
    }

    #[test]
    fn a_deployment_is_available_when_all_pods_are_new_and_none_is_old() {
        assert_eq!(unavailable(&deployment(2, 2, 2, 2)), None);
        assert!(unavailable(&deployment(2, 1, 2, 2)).is_some());
        assert!(unavailable(&deployment(2, 2, 3, 2)).is_some());
        assert!(unavailable(&deployment(2, 2, 2, 1)).is_some());
        assert!(unavailable(&json!({"metadata": {"generation": 1}})).is_some());
    }

    #[test]
    fn a_pod_without_conditions_is_not_ready() {
        assert_eq!(
            unready(&Pod::default()).as_deref(),
            Some("it has no condition yet")
        );
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let ready: Pod = serde_json::from_value(ready).unwrap();
        assert_eq!(unready(&ready), None);
    }

    #[test]
    fn a_pod_says_which_image_cannot_be_had() {
        let pod: Pod = serde_json::from_value(json!({"status": {"containerStatuses": [{
            "name": "webhook", "image": "r.io/none:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]}}))
        .unwrap();
        assert_eq!(
            trouble(&pod).as_deref(),
            Some("container webhook, image r.io/none:1: ErrImagePull not found")
        );
    }

    #[test]
    fn pods_of_others_are_not_waited_for() {
        let pod = |kind: &str, name: &str| -> ObjectMeta {
            let owner = json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true});
            serde_json::from_value(json!({"namespace": "n", "ownerReferences": [owner]})).unwrap()
        };
        let other = |kind: &str, name: &str| Reference {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            namespace: Some("n".into()),
            name: name.into(),
        };
        let others = [other("Deployment", "theirs"), other("StatefulSet", "db")];
        assert!(ends(&pod("ReplicaSet", "ours-7d9f"), &others));
        assert!(!ends(&pod("ReplicaSet", "theirs-7d9f"), &others));
        assert!(!ends(&pod("StatefulSet", "db"), &others));
        assert!(!ends(&ObjectMeta::default(), &others), "of nobody");
        let mut ending = pod("StatefulSet", "db");
        ending.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(ends(&ending, &others));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missing_last_is_told() {
        let deadline = Deadline::within(Duration::from_secs(3));
        let error = deadline
            .until("a thing", || async { Ok(Some("a screw".to_owned())) })
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "a thing after 3 s: a screw");
    }
}
