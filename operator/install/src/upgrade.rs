//! From one build of Sluice to another, and back.
//!
//! A new build may encode every resource of every gateway anew, and be wrong. So the
//! operators come first; then one gateway, which is asked by a request of its own while
//! the others still are as they were; then the others, one by one, each drained. Whatever
//! fails on the way is taken back to the build before.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::install::{Event, Prepared, Step, Tell, apply, prove, store};
use crate::inventory::{Build, Inventory};
use crate::manifest::{Object, Reference};
use crate::wait::{Deadline, deployment, unready};
use crate::{InstallError, Options, product, request};

const GATEWAY: &str = "sluice-gateway";

/// Brings the build that was prepared, paced; takes it back if it does not come to be.
///
/// # Errors
/// [`InstallError::TakenBack`] says why, with the build before at work again; any other
/// is of a cluster that is not as it was.
pub async fn upgrade(
    cluster: &Cluster,
    prepared: Prepared,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    let Prepared {
        plan,
        components,
        mut inventory,
    } = prepared;
    let all = components.iter().flat_map(|component| &component.objects);
    let objects: Vec<(Object, bool)> = all
        .map(|object| (object.clone(), !plan.leaves(&object.reference)))
        .collect();
    store(cluster, &inventory).await?;
    let brought = bring(cluster, objects, Deadline::within(options.timeout), tell).await;
    let Err(why) = brought else {
        return prove(cluster, &mut inventory).await;
    };
    // A build that ran before is repaired, and what was before it is no better.
    let Some(before) = inventory.before.clone().filter(|_| !inventory.proven) else {
        return Err(why);
    };
    tell(Event::Note {
        text: format!("{why}: going back to {}", before.version),
    });
    let version = before.version.clone();
    // A time of its own: what was there before has proven that it runs.
    go_back(
        cluster,
        inventory,
        &before,
        Deadline::within(options.timeout),
        tell,
    )
    .await?;
    Err(InstallError::TakenBack {
        why: why.to_string(),
        version,
    })
}

/// Brings the build before this one back, at the same pace; it says which that is.
///
/// # Errors
/// [`InstallError::NoBefore`]; [`InstallError::Timeout`].
pub async fn rollback(
    cluster: &Cluster,
    mut inventory: Inventory,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<String, InstallError> {
    let before = inventory.before.clone().ok_or(InstallError::NoBefore)?;
    let deadline = Deadline::within(options.timeout);
    let objects = before.objects()?.into_iter().map(|object| (object, true));
    bring(cluster, objects.collect(), deadline, tell).await?;
    // Only now: the same again goes on to the same build.
    let version = before.version.clone();
    inventory.go_back(before);
    store(cluster, &inventory).await?;
    Ok(version)
}

/// Undoes what was begun: no pace, as some gateways still are of that build.
async fn go_back(
    cluster: &Cluster,
    mut inventory: Inventory,
    before: &Build,
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    let mut step = Step::begin("back", tell);
    let objects = before.objects()?;
    apply(cluster, objects.clone(), deadline).await?;
    pause(cluster, false).await?;
    for object in &objects {
        deployment(cluster, &object.reference, deadline).await?;
    }
    inventory.go_back(before.clone());
    store(cluster, &inventory).await?;
    step.done(format!("{} available", before.version));
    Ok(())
}

/// Applies those objects that are marked, and waits for all Deployments: one that was
/// applied by an upgrade that was cut off need not run yet.
async fn bring(
    cluster: &Cluster,
    objects: Vec<(Object, bool)>,
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    let (gateways, first): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|(object, _)| is_gateway(&object.reference));
    let operators: Vec<Reference> = first
        .iter()
        .filter(|(object, _)| object.reference.kind == "Deployment")
        .map(|(object, _)| object.reference.clone())
        .collect();
    let mut step = Step::begin("operators", tell);
    let marked = first.into_iter().filter(|(_, differs)| *differs);
    let first: Vec<Object> = marked.map(|(object, _)| object).collect();
    let count = first.len();
    apply(cluster, first, deadline).await?;
    for operator in &operators {
        deployment(cluster, operator, deadline).await?;
    }
    step.done(format!("{count} objects applied, available"));
    for (gateway, differs) in gateways {
        let reference = gateway.reference.clone();
        if !differs {
            let mut step = Step::begin("gateways", tell);
            deployment(cluster, &reference, deadline).await?;
            step.done("all are of this build".to_owned());
            continue;
        }
        let mut step = Step::begin("first gateway", tell);
        apply(cluster, vec![gateway], deadline).await?;
        let Some(pod) = first_of(cluster, &reference, deadline).await? else {
            step.done("no pod had to be replaced".to_owned());
            continue;
        };
        request::prove_pod(cluster, &pod, deadline).await?;
        step.done(format!(
            "pod {pod} answers 200; the others are as they were"
        ));
        let mut step = Step::begin("gateways", tell);
        pause(cluster, false).await?;
        deployment(cluster, &reference, deadline).await?;
        step.done("all are replaced, one by one, and drained".to_owned());
    }
    Ok(())
}

fn is_gateway(object: &Reference) -> bool {
    object.kind == "Deployment" && object.name == GATEWAY
}

/// Stops the rollout with its first pod, and waits until that one is ready. None where
/// nothing is rolled out.
async fn first_of(
    cluster: &Cluster,
    reference: &Reference,
    deadline: Deadline,
) -> Result<Option<String>, InstallError> {
    let what = format!("{reference} makes no pod of the new build");
    // Begun is enough: a pod takes longer to be ready than this takes to see it, and the
    // next one waits for that.
    deadline
        .until(&what, || async {
            Ok(cluster
                .get(reference)
                .await?
                .and_then(|found| unbegun(&found)))
        })
        .await?;
    if cluster
        .get(reference)
        .await?
        .is_none_or(|found| is_whole(&found))
    {
        return Ok(None);
    }
    pause(cluster, true).await?;
    deadline
        .until("no gateway of the new build is ready", || async {
            Ok(match of_newest_build(cluster, reference).await? {
                Some(pod) => unready(&pod).map(|why| format!("pod {}: {why}", name(&pod))),
                None => Some("its pod is not there yet".to_owned()),
            })
        })
        .await?;
    let pod = of_newest_build(cluster, reference).await?;
    Ok(pod.map(|pod| name(&pod)))
}

fn number(found: &Value, pointer: &str) -> i64 {
    found.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// What is missing until a rollout has a first pod.
fn unbegun(found: &Value) -> Option<String> {
    if number(found, "/status/observedGeneration") < number(found, "/metadata/generation") {
        return Some("its controller has not seen it yet".to_owned());
    }
    (number(found, "/status/updatedReplicas") == 0).then(|| "it has no new pod yet".to_owned())
}

/// True where every pod is of the newest template already.
fn is_whole(found: &Value) -> bool {
    number(found, "/status/updatedReplicas") == number(found, "/status/replicas")
}

async fn pause(cluster: &Cluster, paused: bool) -> Result<(), InstallError> {
    let reference = Reference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some(product::NAMESPACE.to_owned()),
        name: GATEWAY.to_owned(),
    };
    // Null takes the field away, as no manifest has it.
    let paused = paused.then_some(true);
    let patched = cluster
        .merge(&reference, &json!({"spec": {"paused": paused}}))
        .await;
    patched.map_err(|error| InstallError::refused(&reference, &error))
}

/// A pod of the template that a Deployment has now, which may be there since an upgrade
/// that was cut off. Its ReplicaSet is the one with the Deployment's own revision.
async fn of_newest_build(
    cluster: &Cluster,
    reference: &Reference,
) -> Result<Option<Pod>, InstallError> {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    const TEMPLATE: &str = "pod-template-hash";
    let refused = |error| InstallError::refused(reference, &error);
    let all = ListParams::default().labels("app=sluice-gateway");
    let sets: Api<ReplicaSet> = Api::namespaced(cluster.client.clone(), product::NAMESPACE);
    let deployment = cluster.get(reference).await?;
    let revision = deployment.as_ref().and_then(|found| {
        found
            .pointer("/metadata/annotations")?
            .get(REVISION)?
            .as_str()
    });
    let sets = sets.list_metadata(&all).await.map_err(refused)?;
    let newest = sets.items.into_iter().find(|set| {
        revision.is_some() && set.annotations().get(REVISION).map(String::as_str) == revision
    });
    let Some(template) = newest.and_then(|set| set.labels().get(TEMPLATE).cloned()) else {
        return Ok(None);
    };
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), product::NAMESPACE);
    let pods = pods
        .list(&all.labels(&format!("app=sluice-gateway,{TEMPLATE}={template}")))
        .await
        .map_err(refused)?;
    Ok(pods
        .items
        .into_iter()
        .find(|pod| pod.metadata.deletion_timestamp.is_none()))
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_has_begun_with_its_first_pod() {
        let found = |observed: i64, updated: i64| json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "updatedReplicas": updated, "replicas": 3}});
        assert!(unbegun(&found(1, 1)).is_some());
        assert!(unbegun(&found(2, 0)).is_some());
        assert_eq!(unbegun(&found(2, 1)), None);
        assert!(!is_whole(&found(2, 1)));
        assert!(is_whole(&found(2, 3)));
    }
}
