//! What moves: the objects that own Ingresses of a class, found from the Ingresses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{BESIDE, CAME_FROM, CLASS_ANNOTATION};
use crate::InstallError;
use crate::cluster::Cluster;
use crate::manifest::Reference;

const INGRESSES: &str = "networking.internal.knative.dev/v1alpha1";
/// What every class of Knative's ends with.
const SUFFIX: &str = ".ingress.networking.knative.dev";
/// What may be asked to move: what Knative makes Ingresses from, and those themselves.
const OWNERS: [&str; 3] = ["Service", "Route", "DomainMapping"];

/// What is to move, and where.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The class that it has.
    pub from: String,
    /// The class that it gets.
    pub to: String,
    /// What moves, in order.
    pub moves: Vec<Move>,
}

/// An object with all that moves by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// What is annotated: the Service, the DomainMapping, else whatever else owns the
    /// Ingress, or the Ingress.
    pub object: Reference,
    /// The class that it asks for by itself; none where `config-network` has the word.
    pub(crate) class: Option<String>,
    /// What an earlier move wrote.
    pub(crate) came_from: Option<String>,
    /// Its Ingresses.
    pub ingresses: Vec<Reference>,
    /// The hosts of those.
    pub hosts: Vec<Served>,
}

/// A host, and from where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Served {
    /// `hello.default.example.com`.
    pub host: String,
    /// True of `ClusterLocal`.
    pub inside: bool,
}

/// The class of a word for it: `kourier`, or the class itself.
#[must_use]
pub fn class_of(word: &str) -> String {
    if word.contains('.') {
        word.to_owned()
    } else {
        format!("{word}{SUFFIX}")
    }
}

/// The word for a class.
pub(crate) fn class_word(class: &str) -> &str {
    class.strip_suffix(SUFFIX).unwrap_or(class)
}

impl Migration {
    /// Finds what is of a class, in one namespace or in every; of these names only, if any
    /// is given: `hello`, or `domainmapping/hello.example.com`.
    ///
    /// # Errors
    /// [`InstallError::NothingOfName`] of the first name that nothing has;
    /// [`InstallError::Forbidden`] before anything would be written.
    pub async fn take(
        cluster: &Cluster,
        from: String,
        to: String,
        names: &[String],
        namespace: Option<&str>,
    ) -> Result<Self, InstallError> {
        let found = Self::of_class(cluster, &from, namespace).await?;
        let place = || {
            let place = namespace.map(|namespace| format!(" in namespace {namespace}"));
            place.unwrap_or_default()
        };
        for name in names {
            if !found.iter().any(|one| is_named(&one.object, name)) {
                return Err(InstallError::NothingOfName {
                    name: name.clone(),
                    class: from,
                    place: place(),
                    what: there_is(&found),
                });
            }
        }
        let wanted =
            |one: &Move| names.is_empty() || names.iter().any(|name| is_named(&one.object, name));
        let moves: Vec<Move> = found.into_iter().filter(wanted).collect();
        let objects = moves.iter().map(|one| &one.object);
        let ingresses = moves.iter().flat_map(|one| &one.ingresses);
        cluster.may(&["patch"], objects.chain(ingresses)).await?;
        Ok(Self { from, to, moves })
    }

    /// All that is of a class.
    pub(super) async fn of_class(
        cluster: &Cluster,
        class: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Move>, InstallError> {
        owners(cluster, namespace, |ingress| {
            annotation(ingress, CLASS_ANNOTATION) == Some(class)
        })
        .await
    }

    /// All that an earlier migration annotated and that is of this class now.
    pub(super) async fn marked(cluster: &Cluster, to: &str) -> Result<Vec<Move>, InstallError> {
        let marked = |ingress: &Value| {
            annotation(ingress, CAME_FROM).is_some() || annotation(ingress, BESIDE).is_some()
        };
        owners(cluster, None, |ingress| {
            annotation(ingress, CLASS_ANNOTATION) == Some(to) && marked(ingress)
        })
        .await
    }
}

fn there_is(found: &[Move]) -> String {
    if found.is_empty() {
        return "there is none of that class at all".to_owned();
    }
    let names: Vec<String> = found.iter().map(|one| one.object.to_string()).collect();
    format!("of that class are {}", names.join(", "))
}

/// True of `hello`, `service/hello`, `ksvc/hello`.
fn is_named(object: &Reference, name: &str) -> bool {
    match name.split_once('/') {
        None => object.name == name,
        Some((kind, name)) => {
            let kind = kind.to_lowercase();
            let is_service = kind == "ksvc" && object.kind == "Service";
            object.name == name && (is_service || object.kind.to_lowercase() == kind)
        }
    }
}

/// The owners of all Ingresses of which this is true, in order.
async fn owners(
    cluster: &Cluster,
    namespace: Option<&str>,
    is_wanted: impl Fn(&Value) -> bool,
) -> Result<Vec<Move>, InstallError> {
    let ingresses = cluster.list(INGRESSES, "Ingress", namespace).await?;
    let mut found: BTreeMap<Reference, Move> = BTreeMap::new();
    for ingress in ingresses.iter().filter(|ingress| is_wanted(ingress)) {
        // What goes by itself is not moved.
        if ingress.pointer("/metadata/deletionTimestamp").is_some() {
            continue;
        }
        let (object, body) = topmost(cluster, ingress).await?;
        let one = found.entry(object.clone()).or_insert_with(|| Move {
            object,
            class: annotation(&body, CLASS_ANNOTATION).map(str::to_owned),
            came_from: annotation(&body, CAME_FROM).map(str::to_owned),
            ingresses: Vec::new(),
            hosts: Vec::new(),
        });
        one.ingresses
            .push(reference_of(ingress, INGRESSES, "Ingress"));
        one.hosts.extend(hosts(ingress));
    }
    Ok(found.into_values().collect())
}

/// Follows who controls an object up to the last that Knative takes annotations from.
async fn topmost(cluster: &Cluster, ingress: &Value) -> Result<(Reference, Value), InstallError> {
    let mut reference = reference_of(ingress, INGRESSES, "Ingress");
    let mut body = ingress.clone();
    while let Some(owner) = controller(&body, reference.namespace.as_deref()) {
        if !OWNERS.contains(&owner.kind.as_str()) || !owner.group().ends_with("knative.dev") {
            break;
        }
        let Some(found) = cluster.get(&owner).await? else {
            break;
        };
        (reference, body) = (owner, found);
    }
    Ok((reference, body))
}

/// Whoever controls an object.
fn controller(body: &Value, namespace: Option<&str>) -> Option<Reference> {
    let owners = body.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let word = |field: &str| owner.get(field)?.as_str().map(str::to_owned);
    Some(Reference {
        api_version: word("apiVersion")?,
        kind: word("kind")?,
        namespace: namespace.map(str::to_owned),
        name: word("name")?,
    })
}

/// Every host of an Ingress once, with the side that its rule is for.
fn hosts(ingress: &Value) -> BTreeSet<Served> {
    let rules = ingress.pointer("/spec/rules").and_then(Value::as_array);
    let of_rule = |rule: &Value| {
        let inside = rule["visibility"] == "ClusterLocal";
        let hosts = rule["hosts"].as_array().cloned().unwrap_or_default();
        let named = move |host: Value| {
            let host = host.as_str()?.to_owned();
            Some(Served { host, inside })
        };
        hosts.into_iter().filter_map(named).collect::<Vec<_>>()
    };
    rules.into_iter().flatten().flat_map(of_rule).collect()
}

pub(super) fn annotation<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get("metadata")?
        .get("annotations")?
        .get(name)?
        .as_str()
}

pub(crate) fn reference_of(body: &Value, api_version: &str, kind: &str) -> Reference {
    let word = |field: &str| {
        let found = body
            .get("metadata")
            .and_then(|metadata| metadata.get(field));
        found.and_then(Value::as_str).map(str::to_owned)
    };
    Reference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: word("namespace"),
        name: word("name").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_has_a_word() {
        let class = "kourier.ingress.networking.knative.dev";
        assert_eq!(class_of("kourier"), class);
        assert_eq!(class_of(class), class);
        assert_eq!(class_of("mine.example.com"), "mine.example.com");
        assert_eq!(class_word(class), "kourier");
        assert_eq!(class_word("mine.example.com"), "mine.example.com");
    }

    #[test]
    fn a_name_may_say_its_kind() {
        let service = Reference {
            api_version: "serving.knative.dev/v1".into(),
            kind: "Service".into(),
            namespace: Some("default".into()),
            name: "hello".into(),
        };
        for name in ["hello", "ksvc/hello", "service/hello"] {
            assert!(is_named(&service, name), "{name}");
        }
        for name in ["other", "route/hello", "ksvc/other"] {
            assert!(!is_named(&service, name), "{name}");
        }
    }

    #[test]
    fn every_host_once_with_its_side() {
        let ingress = json!({"spec": {"rules": [
            {"hosts": ["a.example.com", "b.example.com"], "visibility": "ExternalIP"},
            {"hosts": ["a.ns.svc", "a.ns.svc"], "visibility": "ClusterLocal"},
        ]}});
        let found: Vec<(String, bool)> = hosts(&ingress)
            .into_iter()
            .map(|served| (served.host, served.inside))
            .collect();
        let expected = [
            ("a.example.com", false),
            ("a.ns.svc", true),
            ("b.example.com", false),
        ];
        assert_eq!(
            found,
            expected.map(|(host, inside)| (host.to_owned(), inside))
        );
    }
}
