//! The way back: what the inventory lists goes, in the reverse of the order in which it
//! came; values of others that were replaced are brought back.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cluster::{Cluster, SERVING, serving_map};
use crate::install::{Event, Step, Tell, store, write};
use crate::inventory::{Inventory, Setting};
use crate::manifest::{Reference, finalizers};
use crate::migrate::{by_name, reference_of};
use crate::plan::CLASS;
use crate::wait::{Deadline, empty};
use crate::{InstallError, product, survey};

/// What users make of Knative Serving's kinds, and nobody else.
const USERS: [(&str, &str); 4] = [
    ("serving.knative.dev/v1beta1", "DomainMapping"),
    ("serving.knative.dev/v1", "Service"),
    ("serving.knative.dev/v1", "Route"),
    ("serving.knative.dev/v1", "Configuration"),
];

/// So many objects are named in a sentence; of more, how many.
const NAMED: usize = 5;

/// What an uninstall would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Farewell {
    /// What goes, in this order.
    pub going: Vec<Reference>,
    /// What was made and stays: kinds, with all objects of users that are of them.
    pub kept: Vec<Reference>,
    /// Entries of Knative's ConfigMaps that are brought back, if nobody has changed them
    /// since.
    pub settings: Vec<Setting>,
    /// Users' Services and the like, which go with the kinds and before them.
    pub users: Vec<Reference>,
    /// What others put into a namespace that was made and goes, and goes with it.
    pub within: Vec<Reference>,
}

/// What an uninstall takes away, by the inventory alone.
#[must_use]
pub fn farewell(inventory: &Inventory, purge: bool) -> Farewell {
    let (kept, mut going): (Vec<Reference>, Vec<Reference>) = inventory
        .made
        .iter()
        .cloned()
        .partition(|made| made.is_definition() && !purge);
    going.reverse();
    // Namespaces are last, so that what is in them goes by name; and the one of the
    // inventory is the very last, for as long as there is anything to be listed.
    going.sort_by_key(|object| (object.kind == "Namespace", is_own_namespace(object)));
    if kept.is_empty() {
        let last = going
            .iter()
            .position(is_own_namespace)
            .unwrap_or(going.len());
        going.insert(last, Inventory::reference());
    } else {
        going.retain(|object| !is_own_namespace(object));
        // They would have gone with their namespace.
        let last = going.iter().position(|object| object.kind == "Namespace");
        let last = last.unwrap_or(going.len());
        going.splice(last..last, product::made_by_operators());
    }
    let gone: BTreeSet<&Reference> = going.iter().collect();
    let settings = inventory
        .settings
        .iter()
        .filter(|setting| !gone.contains(&serving_map(&setting.map)))
        .cloned()
        .collect();
    Farewell {
        going,
        kept,
        settings,
        users: Vec::new(),
        within: Vec::new(),
    }
}

fn is_own_namespace(object: &Reference) -> bool {
    object.kind == "Namespace" && object.name == product::NAMESPACE
}

impl Farewell {
    /// What an uninstall would do in this cluster; asks whether it may, writes nothing.
    ///
    /// # Errors
    /// [`InstallError::Forbidden`], [`InstallError::Refused`];
    /// [`InstallError::StillServed`] unless what asks for Sluice by name is abandoned.
    pub async fn take(
        cluster: &Cluster,
        inventory: &Inventory,
        purge: bool,
        abandon: bool,
    ) -> Result<Self, InstallError> {
        let mut farewell = farewell(inventory, purge);
        let has_made_kinds = inventory.made.iter().any(Reference::is_definition);
        // Where Knative stays, users' objects do, and look for their ingress.
        if !farewell.going.contains(&survey::controller()) && !abandon {
            let bound = by_name(cluster, CLASS).await?;
            if let Some(first) = bound.first() {
                return Err(InstallError::StillServed {
                    count: bound.len(),
                    first: first.to_string(),
                });
            }
        }
        let namespaces = farewell.going.iter();
        for namespace in namespaces.filter(|object| object.kind == "Namespace") {
            let there = within(cluster, &namespace.name).await?;
            let others = there
                .into_iter()
                .filter(|object| !inventory.has_made(object));
            farewell.within.extend(others);
        }
        if purge && has_made_kinds {
            for (version, kind) in USERS {
                farewell
                    .users
                    .extend(cluster.list_unowned(version, kind, None).await?);
            }
        }
        let all = farewell.users.iter().chain(&farewell.going);
        cluster.may(&["delete"], all).await?;
        Ok(farewell)
    }

    /// True where nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.going.is_empty() && self.settings.is_empty() && self.users.is_empty()
    }
}

impl std::fmt::Display for Farewell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.users.is_empty() {
            writeln!(f, "users' objects, which go for ever")?;
        }
        for object in &self.users {
            writeln!(f, "  - {object}")?;
        }
        if !self.going.is_empty() {
            writeln!(f, "made by an installation")?;
        }
        for object in &self.going {
            writeln!(f, "  - {object}")?;
        }
        if !self.within.is_empty() {
            writeln!(f, "of others, in a namespace that goes")?;
        }
        for object in &self.within {
            writeln!(f, "  - {object}")?;
        }
        if !self.settings.is_empty() {
            writeln!(f, "settings of knative, brought back")?;
        }
        for Setting { map, key, was, .. } in &self.settings {
            match was {
                Some(was) => writeln!(f, "  ~ {map} {key}: {was:?}")?,
                None => writeln!(f, "  ~ {map} {key}: nothing")?,
            }
        }
        if !self.kept.is_empty() {
            writeln!(
                f,
                "kept: {}, with all objects of users that are of these kinds; --purge takes them away",
                named(&self.kept)
            )?;
        }
        if self.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        Ok(())
    }
}

/// The first few, and how many more.
fn named(objects: &[Reference]) -> String {
    let mut words: Vec<String> = objects
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    if objects.len() > NAMED {
        words.push(format!("{} more", objects.len() - NAMED));
    }
    words.join(", ")
}

/// Does what was shown. Again: goes on from there.
///
/// # Errors
/// [`InstallError::Stayed`] names what did not go, and what holds it.
pub async fn uninstall(
    cluster: &Cluster,
    mut inventory: Inventory,
    farewell: &Farewell,
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    if !farewell.users.is_empty() {
        let mut step = Step::begin("users' objects", tell);
        if cluster.get(&survey::controller()).await?.is_none() {
            unhold(cluster).await?;
        }
        for object in &farewell.users {
            // Its owner's going takes it along; whatever is of it goes before it does.
            cluster.delete_with_dependents(object).await?;
        }
        gone(cluster, &farewell.users, deadline).await?;
        step.done(format!("{} gone", farewell.users.len()));
    }
    restore(cluster, &farewell.settings, deadline, tell).await?;
    let left = product::made_by_operators();
    let (mut objects, mut traces, mut namespaces, mut last) = (vec![], vec![], vec![], vec![]);
    for object in &farewell.going {
        let part = if is_own_namespace(object) || *object == Inventory::reference() {
            &mut last
        } else if object.kind == "Namespace" {
            &mut namespaces
        } else if left.contains(object) {
            &mut traces
        } else {
            &mut objects
        };
        part.push(object.clone());
    }
    take(cluster, "objects", &objects, deadline, tell).await?;
    if !traces.is_empty() {
        // Operators that still run would make them again.
        empty(cluster, product::NAMESPACE, &farewell.within, deadline).await?;
        take(cluster, "what operators made", &traces, deadline, tell).await?;
    }
    for object in namespaces.iter().chain(&last) {
        if object.kind == "Namespace" {
            empty(cluster, &object.name, &farewell.within, deadline).await?;
        }
    }
    // The inventory is there for as long as anything is that it lists.
    take(cluster, "namespaces", &namespaces, deadline, tell).await?;
    take(cluster, "inventory", &last, deadline, tell).await?;
    if !farewell.kept.is_empty() {
        inventory
            .made
            .retain(|made| farewell.kept.contains(made) || is_own_namespace(made));
        inventory.settings.clear();
        inventory.knative = None;
        inventory.manifests = None;
        inventory.build = None;
        inventory.before = None;
        store(cluster, &inventory).await?;
        tell(Event::Note {
            text: format!(
                "kept: {}, and the inventory that lists them; `sluice uninstall --purge` takes them away",
                named(&farewell.kept)
            ),
        });
    }
    Ok(())
}

/// What is in a namespace and by itself: workloads, and Secrets that somebody put there.
async fn within(cluster: &Cluster, namespace: &str) -> Result<Vec<Reference>, InstallError> {
    const KINDS: [(&str, &str); 6] = [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Secret"),
    ];
    let own = product::made_by_operators();
    let mut all = Vec::new();
    for (version, kind) in KINDS {
        let found = cluster.list_unowned(version, kind, Some(namespace)).await?;
        // Knative's controllers make Secrets of their own, by this name and no owner.
        let is_knatives = |one: &Reference| {
            kind == "Secret" && namespace == SERVING && one.name.ends_with("-certs")
        };
        all.extend(
            found
                .into_iter()
                .filter(|one| !own.contains(one) && !is_knatives(one)),
        );
    }
    Ok(all)
}

/// Takes Knative's finalizers away where Knative has gone before: nobody else would, and
/// there is nothing left that they are for.
async fn unhold(cluster: &Cluster) -> Result<(), InstallError> {
    const HOLDING: [(&str, &str); 3] = [
        ("serving.knative.dev/v1", "Route"),
        ("serving.knative.dev/v1beta1", "DomainMapping"),
        ("networking.internal.knative.dev/v1alpha1", "Ingress"),
    ];
    for (version, kind) in HOLDING {
        for object in cluster.list(version, kind, None).await? {
            let all = finalizers(&object);
            let of_others = |name: &&&str| !name.ends_with(".knative.dev");
            let left: Vec<&&str> = all.iter().filter(of_others).collect();
            if left.len() == all.len() {
                continue;
            }
            let reference = reference_of(&object, version, kind);
            let patch = json!({"metadata": {"finalizers": left}});
            let patched = cluster.merge(&reference, &patch).await;
            patched.map_err(|error| InstallError::refused(&reference, &error))?;
        }
    }
    Ok(())
}

/// Brings values back, but those that somebody has changed since.
async fn restore(
    cluster: &Cluster,
    settings: &[Setting],
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    for setting in settings {
        let Setting { map, key, was, now } = setting;
        let is = cluster.settings(map).await?.get(key).cloned();
        if is == *was {
            continue;
        }
        if is != *now {
            let is = is.map_or_else(|| "nothing".to_owned(), |is| format!("{is:?}"));
            tell(Event::Note {
                text: format!(
                    "{SERVING}/{map} {key} is {is}, which nobody here has written: it is left alone"
                ),
            });
            continue;
        }
        let back = Setting {
            map: map.clone(),
            key: key.clone(),
            was: now.clone(),
            now: was.clone(),
        };
        let mut step = Step::begin("settings", tell);
        write(cluster, &back, deadline).await?;
        step.done(match was {
            Some(was) => format!("{map} {key} = {was}"),
            None => format!("{map} {key} taken away"),
        });
    }
    Ok(())
}

async fn take(
    cluster: &Cluster,
    name: &str,
    objects: &[Reference],
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<(), InstallError> {
    if objects.is_empty() {
        return Ok(());
    }
    let mut step = Step::begin(name, tell);
    let mut count = 0;
    for object in objects {
        count += usize::from(cluster.delete(object).await?);
    }
    gone(cluster, objects, deadline).await?;
    step.done(format!("{count} gone"));
    Ok(())
}

/// Waits until none of them is there; at the end of patience says what holds each.
async fn gone(
    cluster: &Cluster,
    objects: &[Reference],
    deadline: Deadline,
) -> Result<(), InstallError> {
    let mut left = objects.to_vec();
    let waited = deadline
        .until("gone", || {
            let asked = left.clone();
            async move {
                for object in asked {
                    if cluster.get(&object).await?.is_some() {
                        return Ok(Some(object.to_string()));
                    }
                }
                Ok(None)
            }
        })
        .await;
    if waited.is_ok() {
        return Ok(());
    }
    let mut what = Vec::new();
    for object in std::mem::take(&mut left) {
        match cluster.get(&object).await {
            Ok(None) => {}
            Ok(Some(is)) => what.push(format!("{object}: {}", held(&object, &is))),
            Err(error) => what.push(error.to_string()),
        }
    }
    if what.is_empty() {
        return Ok(());
    }
    Err(InstallError::Stayed {
        count: what.len(),
        what: what.join("; "),
    })
}

/// What keeps an object that was told to go, and the next command.
pub(crate) fn held(object: &Reference, is: &Value) -> String {
    let place = object
        .namespace
        .as_ref()
        .map(|namespace| format!(" -n {namespace}"))
        .unwrap_or_default();
    let next = format!(
        "next: kubectl get {}{place} {} -o yaml",
        object.kind.to_lowercase(),
        object.name
    );
    // What a namespace waits for is in its conditions (Kubernetes' api/core/v1, NamespaceContentRemaining).
    let conditions = is.pointer("/status/conditions").and_then(Value::as_array);
    let waits: Vec<&str> = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition["status"] == "True")
        .filter(|condition| {
            let kind = condition["type"].as_str().unwrap_or_default();
            kind.starts_with("Namespace") || kind == "Terminating"
        })
        .filter_map(|condition| condition["message"].as_str())
        .collect();
    if !waits.is_empty() {
        return format!("{}; {next}", waits.join(", "));
    }
    let finalizers = finalizers(is);
    if finalizers.is_empty() {
        return format!(
            "nothing holds it, it is only slow; the same command again waits on; {next}"
        );
    }
    format!(
        "held by the finalizer {}, whose controller must take it away; {next}",
        finalizers.join(", ")
    )
}
