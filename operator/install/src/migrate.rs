//! From another ingress to Sluice, and back, one Knative Service after the other.
//!
//! Both ingresses run. What is to move is served by Sluice beside the other first, so that
//! whichever of the two a client still asks answers; then its class changes, which moves
//! the status, and with it the names inside the cluster. The class is written on whatever
//! owns the Ingress, as Knative writes the Ingress anew from there.

mod gateways;
mod select;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::gateways::verify;
pub(crate) use self::select::reference_of;
pub use self::select::{Migration, Move, Served, class_of};
use self::select::{annotation, class_word};
use crate::cluster::{Cluster, serving_map};
use crate::install::{Step, Tell, store, write};
use crate::inventory::{Inventory, Setting};
use crate::manifest::{Reference, finalizers};
use crate::plan::{CLASS, CLASS_KEY, CONFIG_NETWORK};
use crate::wait::{Deadline, condition};
use crate::{InstallError, product};

/// Whose Ingress it is; over the ConfigMap's word.
const CLASS_ANNOTATION: &str = "networking.knative.dev/ingress.class";
/// Has Sluice serve an Ingress of another class too.
const BESIDE: &str = "sluice.ingress.networking.knative.dev/beside";
/// What the class annotation was before the first move: a class, or [`BY_DEFAULT`].
const CAME_FROM: &str = "sluice.ingress.networking.knative.dev/came-from";
/// There was no annotation: the class was that of `config-network`.
const BY_DEFAULT: &str = "config-network";
/// The class of all where `config-network` names none (Knative's
/// `networking/pkg/config`, `DefaultIngressClass`'s default).
const CLASS_OF_KNATIVE: &str = "istio.ingress.networking.knative.dev";
/// Knative's ingresses put it on Ingresses, and look at none that left their class: it
/// would stay for ever (`knative.dev/pkg`, finalizers of generated reconcilers).
const FINALIZER: &str = "ingresses.networking.internal.knative.dev";

/// Has Sluice serve all that would move, beside the ingress that it has, and proves it at
/// every gateway.
///
/// # Errors
/// [`InstallError::Timeout`] names the host and the gateway.
pub async fn serve_beside(
    cluster: &Cluster,
    migration: &Migration,
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    for one in &migration.moves {
        let mut step = Step::begin(&one.object.to_string(), tell);
        let outcome = beside(cluster, one, deadline).await?;
        step.done(outcome);
    }
    Ok(())
}

/// Moves one after the other; each is proven before the next. The first that fails is
/// taken back, those before it stay moved, and the same command goes on.
///
/// # Errors
/// [`InstallError::NotMoved`]; [`InstallError::Refused`].
pub async fn migrate(
    cluster: &Cluster,
    migration: &Migration,
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    let to = migration.to.as_str();
    if to == CLASS {
        // One that was cut off right after it arrived.
        for one in Migration::marked(cluster, to).await? {
            let_go(cluster, &one, to).await?;
        }
    }
    for one in &migration.moves {
        let mut step = Step::begin(&one.object.to_string(), tell);
        let mut outcome = String::new();
        if to == CLASS {
            outcome = beside(cluster, one, deadline)
                .await
                .map_err(|error| not_moved(one, to, &error))?;
            outcome.push_str("; ");
        }
        annotate(cluster, &one.object, &moved(one, &migration.from, to)).await?;
        let arrived = arrive(cluster, one, to, deadline).await;
        if let Err(error) = arrived {
            annotate(cluster, &one.object, &back(one, &migration.from)).await?;
            return Err(not_moved(one, to, &error));
        }
        let_go(cluster, one, to).await?;
        outcome.push_str(&format!("Ready by {}", class_word(to)));
        step.done(outcome);
    }
    Ok(())
}

/// Makes the class that everything moved to the one of all: in `config-network`, and no
/// longer on each object; ends what Sluice serves beside.
///
/// # Errors
/// [`InstallError::NotAllMoved`] while anything is left of the class before;
/// [`InstallError::NothingToEnd`] where nothing has moved between these two.
pub async fn finish(
    cluster: &Cluster,
    migration: &Migration,
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    let to = migration.to.as_str();
    if let Some(first) = migration.moves.first() {
        return Err(InstallError::NotAllMoved {
            count: migration.moves.len(),
            class: migration.from.clone(),
            first: first.object.to_string(),
            next: format!(
                "sluice migrate --from {} --to {}",
                class_word(&migration.from),
                class_word(to)
            ),
        });
    }
    let settings = cluster.settings(CONFIG_NETWORK).await?;
    let was = settings.get(CLASS_KEY).map(String::as_str);
    let is = was.unwrap_or(CLASS_OF_KNATIVE);
    let moved = Migration::marked(cluster, to).await?;
    // A third ingress has all that asks for none: that one's objects are not this
    // migration's, and stay where they are.
    let of_others = is != migration.from && is != to;
    if of_others && moved.is_empty() {
        return Err(InstallError::NothingToEnd {
            found: is.to_owned(),
            from: migration.from.clone(),
            to: to.to_owned(),
        });
    }
    let mut step = Step::begin("settings", tell);
    step.done(if of_others {
        format!("{CONFIG_NETWORK} {CLASS_KEY} stays {is}: only what has moved is of {to}")
    } else if was == Some(to) {
        format!("{CONFIG_NETWORK} {CLASS_KEY} is {to} already")
    } else {
        set_class(cluster, was, to, deadline).await?
    });
    for one in &moved {
        let mut step = Step::begin(&one.object.to_string(), tell);
        let_go(cluster, one, to).await?;
        let default = !of_others && one.came_from.as_deref() == Some(BY_DEFAULT);
        if default {
            // Knative may still know the class before; until it does not, Sluice serves
            // what it held under either.
            let held = json!({CLASS_ANNOTATION: null, BESIDE: "true"});
            annotate(cluster, &one.object, &held).await?;
            arrive(cluster, one, to, deadline).await?;
        }
        annotate(
            cluster,
            &one.object,
            &json!({BESIDE: null, CAME_FROM: null}),
        )
        .await?;
        let class = if default {
            "of config-network"
        } else {
            "its own"
        };
        step.done(format!("class {to}, {class}"));
    }
    Ok(())
}

/// What asks for a class by itself, and not by `config-network`.
pub(crate) async fn by_name(
    cluster: &Cluster,
    class: &str,
) -> Result<Vec<Reference>, InstallError> {
    let all = Migration::of_class(cluster, class, None).await?;
    let asking = all.into_iter().filter(|one| one.class.is_some());
    Ok(asking.map(|one| one.object).collect())
}

/// Writes the class of all, and keeps what it was where an installation does.
async fn set_class(
    cluster: &Cluster,
    was: Option<&str>,
    to: &str,
    deadline: Deadline,
) -> Result<String, InstallError> {
    if cluster.get(&serving_map(CONFIG_NETWORK)).await?.is_none() {
        return Err(InstallError::KnativeMissing);
    }
    let setting = Setting {
        map: CONFIG_NETWORK.to_owned(),
        key: CLASS_KEY.to_owned(),
        was: was.map(str::to_owned),
        now: Some(to.to_owned()),
    };
    if let Some(object) = cluster.get(&Inventory::reference()).await? {
        let mut inventory = Inventory::from_object(&object)?;
        if to == CLASS {
            inventory.set(setting.clone());
        } else {
            // Who leaves Sluice by this has decided: an uninstall has nothing to bring back.
            inventory.forget(CONFIG_NETWORK, CLASS_KEY);
        }
        store(cluster, &inventory).await?;
    }
    write(cluster, &setting, deadline).await?;
    Ok(format!("{CONFIG_NETWORK} {CLASS_KEY} = {to}"))
}

/// Has one served by Sluice too, and proves it.
async fn beside(cluster: &Cluster, one: &Move, deadline: Deadline) -> Result<String, InstallError> {
    annotate(cluster, &one.object, &json!({BESIDE: "true"})).await?;
    let gateways = verify(cluster, &one.hosts, deadline).await?;
    Ok(format!(
        "{gateways} gateways serve its {} hosts",
        one.hosts.len()
    ))
}

/// The annotations of one that moves. Sluice serves on what leaves it, until the end of
/// the migration: clients still ask it.
fn moved(one: &Move, from: &str, to: &str) -> Value {
    let came_from = one.came_from.clone().unwrap_or_else(|| {
        let explicit = one.class.as_deref();
        explicit.unwrap_or(BY_DEFAULT).to_owned()
    });
    let beside = (from == CLASS).then_some("true");
    json!({CLASS_ANNOTATION: to, BESIDE: beside, CAME_FROM: came_from})
}

/// The annotations of one that did not arrive: as before.
fn back(one: &Move, from: &str) -> Value {
    let beside = (from != CLASS).then_some("true");
    json!({CLASS_ANNOTATION: one.class, BESIDE: beside, CAME_FROM: one.came_from})
}

fn not_moved(one: &Move, to: &str, error: &InstallError) -> InstallError {
    InstallError::NotMoved {
        object: one.object.to_string(),
        class: to.to_owned(),
        why: error.to_string(),
    }
}

async fn annotate(
    cluster: &Cluster,
    object: &Reference,
    annotations: &Value,
) -> Result<(), InstallError> {
    let patch = json!({"metadata": {"annotations": annotations}});
    let merged = cluster.merge(object, &patch).await;
    merged.map_err(|error| InstallError::refused(object, &error))
}

/// Waits until all Ingresses of one are Ready, by the word of the ingress of this class.
async fn arrive(
    cluster: &Cluster,
    one: &Move,
    class: &str,
    deadline: Deadline,
) -> Result<(), InstallError> {
    for ingress in &one.ingresses {
        let what = format!("{ingress} is not Ready by {}", class_word(class));
        deadline
            .until(&what, || async {
                Ok(match cluster.get(ingress).await? {
                    Some(found) => unarrived(&found, class),
                    None => Some("it is not there".to_owned()),
                })
            })
            .await?;
    }
    Ok(())
}

/// What an Ingress lacks to be served by a class.
fn unarrived(found: &Value, class: &str) -> Option<String> {
    if annotation(found, CLASS_ANNOTATION) != Some(class) {
        return Some(
            "Knative has not given it the class yet; next: kubectl -n knative-serving logs deployment/controller"
                .to_owned(),
        );
    }
    let number = |pointer: &str| found.pointer(pointer).and_then(Value::as_i64);
    if number("/status/observedGeneration") != number("/metadata/generation") {
        return Some("its status is of another generation".to_owned());
    }
    // The other one's Ready stands there until this one writes its own.
    if by_sluice(found) != (class == CLASS) {
        return Some(format!(
            "its status is still of the ingress before; next: sluice explain ingress/{}",
            name(found)
        ));
    }
    match condition(found, "Ready") {
        Some(("True", _)) => None,
        Some((_, message)) => Some(message.to_owned()),
        None => Some("it has no condition yet".to_owned()),
    }
}

fn name(found: &Value) -> &str {
    let name = found.pointer("/metadata/name").and_then(Value::as_str);
    name.unwrap_or_default()
}

/// True where the addresses of a status are those of Sluice's Services.
fn by_sluice(found: &Value) -> bool {
    let ours = format!(".{}.svc", product::NAMESPACE);
    let sides = ["publicLoadBalancer", "privateLoadBalancer"];
    sides.iter().any(|side| {
        let entries = found.pointer(&format!("/status/{side}/ingress"));
        let entries = entries.and_then(Value::as_array).into_iter().flatten();
        entries
            .filter_map(|entry| entry.get("domainInternal")?.as_str())
            .any(|domain| domain.contains(&ours))
    })
}

async fn let_go(cluster: &Cluster, one: &Move, to: &str) -> Result<(), InstallError> {
    for ingress in &one.ingresses {
        release(cluster, ingress, to).await?;
    }
    Ok(())
}

/// Takes the finalizer of the ingress that an object left, which nobody would take.
async fn release(cluster: &Cluster, ingress: &Reference, to: &str) -> Result<(), InstallError> {
    // Others than Sluice put it there themselves.
    if to != CLASS {
        return Ok(());
    }
    let Some(found) = cluster.get(ingress).await? else {
        return Ok(());
    };
    let all = finalizers(&found);
    let left: Vec<&&str> = all.iter().filter(|name| **name != FINALIZER).collect();
    if left.len() == all.len() {
        return Ok(());
    }
    // The version has the API server refuse it if others changed the list meanwhile.
    let version = found.pointer("/metadata/resourceVersion");
    let patch = json!({"metadata": {"finalizers": left, "resourceVersion": version}});
    match cluster.merge(ingress, &patch).await {
        Ok(()) => Ok(()),
        Err(error) if crate::cluster::is_code(&error, 409) => {
            Box::pin(release(cluster, ingress, to)).await
        }
        Err(error) => Err(InstallError::refused(ingress, &error)),
    }
}
