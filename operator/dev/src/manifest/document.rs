//! One document to one object: which kind it is, and whether it is well formed.

use sluice_crds as crds;
use sluice_translate::{Object, ObjectKind};

use super::node::{Node, Value};
use super::object::{ObjectId, id_of, object};
use crate::fault::{FaultReason, Severity};

/// The annotation that names an Ingress's class
/// (`knative.dev/networking pkg/apis/networking/register.go`).
const CLASS_ANNOTATION: &str = "networking.knative.dev/ingress.class";

/// The class that Sluice serves.
const CLASS: &str = "sluice.ingress.networking.knative.dev";

const INGRESS_VERSION: &str = "networking.internal.knative.dev/v1alpha1";

/// What is read: `apiVersion`, `kind`.
const READ: [(&str, &str, ObjectKind); 5] = [
    (INGRESS_VERSION, "Ingress", ObjectKind::Ingress),
    ("v1", "Service", ObjectKind::Service),
    ("v1", "Endpoints", ObjectKind::Endpoints),
    (
        "discovery.k8s.io/v1",
        "EndpointSlice",
        ObjectKind::EndpointSlice,
    ),
    ("v1", "Secret", ObjectKind::Secret),
];

/// What to make of fields that a kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Say so, and read the rest.
    Warn,
    /// The object is not read.
    Refuse,
}

/// What one document turned out to be.
pub(super) struct Document {
    /// Absent where the document does not say which object it is.
    pub(super) id: Option<ObjectId>,
    pub(super) outcome: Outcome,
    /// Faults with their place; the file is not known here.
    pub(super) faults: Vec<Remark>,
}

pub(super) enum Outcome {
    /// Read well.
    Object(Box<Object>),
    /// Not for Sluice, and nothing is lost.
    LeftAlone,
    /// Meant for Sluice, but not readable.
    Broken,
    /// `kind: List`.
    List(Vec<Node>),
}

/// A fault before the file's name is added.
pub(super) struct Remark {
    pub(super) severity: Severity,
    pub(super) reason: FaultReason,
    pub(super) place: (u64, u64),
    pub(super) object: Option<String>,
    pub(super) field: Option<String>,
    pub(super) message: String,
}

impl Document {
    fn broken(id: Option<ObjectId>, remark: Remark) -> Self {
        Self {
            id,
            outcome: Outcome::Broken,
            faults: vec![remark],
        }
    }

    fn left_alone(remark: Remark) -> Self {
        Self {
            id: None,
            outcome: Outcome::LeftAlone,
            faults: vec![remark],
        }
    }
}

/// Reads one document.
pub(super) fn document(node: Node, strictness: Strictness) -> Document {
    let (api_version, kind) = match type_of(&node) {
        Ok(named) => named,
        Err(remark) => return Document::broken(None, remark),
    };
    if api_version == "v1" && kind == "List" {
        return list(node);
    }
    let Some(object_kind) = kind_of(&node) else {
        return not_read(&node, &api_version, &kind);
    };
    let id = match id_of(&node, object_kind) {
        Ok(id) => id,
        Err(remark) => return Document::broken(None, remark),
    };
    let mut faults = unknown(&node, &id, strictness);
    match object(&node, &id) {
        Err(remark) => {
            faults.push(remark);
            Document {
                id: Some(id),
                outcome: Outcome::Broken,
                faults,
            }
        }
        Ok(Object::Ingress(ingress)) if other_class(&ingress).is_some() => {
            let class = other_class(&ingress).unwrap_or_default();
            Document::left_alone(Remark {
                severity: Severity::Note,
                reason: FaultReason::OtherClass,
                place: node.place_of(&format!("metadata.annotations[{CLASS_ANNOTATION}]")),
                object: Some(id.to_string()),
                field: None,
                message: format!("left alone: its class is {class:?}, Sluice serves {CLASS:?}"),
            })
        }
        Ok(object) => {
            let refused = faults.iter().any(|fault| fault.severity == Severity::Error);
            Document {
                id: Some(id),
                outcome: if refused {
                    Outcome::Broken
                } else {
                    Outcome::Object(Box::new(object))
                },
                faults,
            }
        }
    }
}

/// A document, or the documents within it.
pub(super) enum Unwrapped {
    Object(Node),
    List(Vec<Node>),
}

/// Takes a `kind: List` apart.
pub(super) fn unwrapped(node: Node) -> Unwrapped {
    match type_of(&node) {
        Ok((version, kind)) if version == "v1" && kind == "List" => match list(node).outcome {
            Outcome::List(items) => Unwrapped::List(items),
            _ => Unwrapped::List(Vec::new()),
        },
        _ => Unwrapped::Object(node),
    }
}

/// Whether a document is this object.
pub(super) fn is_object(node: &Node, id: &ObjectId) -> bool {
    kind_of(node) == Some(id.kind) && id_of(node, id.kind).is_ok_and(|found| found == *id)
}

fn kind_of(node: &Node) -> Option<ObjectKind> {
    let (version, kind) = type_of(node).ok()?;
    READ.iter()
        .find(|(known, name, _)| *known == version && *name == kind)
        .map(|(_, _, kind)| *kind)
}

fn list(mut node: Node) -> Document {
    let place = node.place_of("items");
    let items = match &mut node.value {
        Value::Map(entries) => entries
            .iter_mut()
            .find(|(key, _)| key.text == "items")
            .map(|(_, items)| std::mem::replace(&mut items.value, Value::Null)),
        _ => None,
    };
    match items {
        Some(Value::List(items)) => Document {
            id: None,
            outcome: Outcome::List(items),
            faults: Vec::new(),
        },
        None | Some(Value::Null) => Document {
            id: None,
            outcome: Outcome::List(Vec::new()),
            faults: Vec::new(),
        },
        Some(_) => Document::broken(
            None,
            Remark {
                severity: Severity::Error,
                reason: FaultReason::WrongType,
                place,
                object: Some("list".into()),
                field: Some("items".into()),
                message: "expected a list of objects".into(),
            },
        ),
    }
}

/// `apiVersion` and `kind`.
fn type_of(node: &Node) -> Result<(String, String), Remark> {
    if !matches!(node.value, Value::Map(_)) {
        return Err(Remark {
            severity: Severity::Error,
            reason: FaultReason::NotAnObject,
            place: (node.line, node.column),
            object: None,
            field: None,
            message: format!(
                "found {}, expected an object with apiVersion, kind and metadata",
                node.describe_kind()
            ),
        });
    }
    let field = |name: &str| match node.get(name) {
        Some(found) => match found.text() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(Remark {
                severity: Severity::Error,
                reason: FaultReason::WrongType,
                place: (found.line, found.column),
                object: None,
                field: Some(name.into()),
                message: format!("found {}, expected text", found.describe()),
            }),
        },
        None => Err(Remark {
            severity: Severity::Error,
            reason: FaultReason::MissingField,
            place: (node.line, node.column),
            object: None,
            field: Some(name.into()),
            message: "missing; an object needs apiVersion, kind and metadata".into(),
        }),
    };
    Ok((field("apiVersion")?, field("kind")?))
}

fn not_read(node: &Node, api_version: &str, kind: &str) -> Document {
    let group = |version: &str| version.rsplit_once('/').map(|(group, _)| group.to_owned());
    let name = node
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .and_then(Node::text);
    let object = match name {
        Some(name) => format!("{kind} {name:?} ({api_version})"),
        None => format!("{kind} ({api_version})"),
    };
    let expected = READ
        .iter()
        .find(|(version, name, _)| *name == kind && group(version) == group(api_version));
    if let Some((version, _, _)) = expected {
        return Document::broken(
            None,
            Remark {
                severity: Severity::Error,
                reason: FaultReason::WrongVersion,
                place: node.place_of("apiVersion"),
                object: Some(object),
                field: Some("apiVersion".into()),
                message: format!("found {api_version:?}, expected {version:?}"),
            },
        );
    }
    let message = match (group(api_version).as_deref(), kind) {
        (Some("serving.knative.dev"), _) => {
            "not read here: without Serving nothing acts on it; write the Ingress, Services and \
             Endpoints that Serving makes of it"
                .to_owned()
        }
        (_, "Ingress") => {
            format!("not read here: Sluice serves Knative's Ingress, {INGRESS_VERSION}")
        }
        _ => "not read here: Sluice reads Knative Ingress, Service, Endpoints, EndpointSlice and \
              Secret"
            .to_owned(),
    };
    Document::left_alone(Remark {
        severity: Severity::Note,
        reason: FaultReason::KindNotRead,
        place: node.place_of("kind"),
        object: Some(object),
        field: None,
        message,
    })
}

fn unknown(node: &Node, id: &ObjectId, strictness: Strictness) -> Vec<Remark> {
    let kind = match id.kind {
        ObjectKind::Ingress => crds::Kind::Ingress,
        ObjectKind::Service => crds::Kind::Service,
        ObjectKind::Endpoints => crds::Kind::Endpoints,
        ObjectKind::EndpointSlice => crds::Kind::EndpointSlice,
        ObjectKind::Secret => crds::Kind::Secret,
    };
    crds::unknown_fields(kind, &node.to_json())
        .into_iter()
        .map(|field| Remark {
            severity: match strictness {
                Strictness::Warn => Severity::Warning,
                Strictness::Refuse => Severity::Error,
            },
            reason: FaultReason::UnknownField,
            place: node.place_of(&field.path),
            object: Some(id.to_string()),
            message: match field.meant {
                Some(meant) => format!("unknown field; did you mean {meant}?"),
                None => "unknown field; check its spelling and indentation, or remove it".into(),
            },
            field: Some(field.path),
        })
        .collect()
}

/// The class of an Ingress that is not for Sluice. One without a class is served:
/// in a folder there is no other ingress that could be meant.
fn other_class(ingress: &crds::Ingress) -> Option<&str> {
    ingress
        .metadata
        .annotations
        .get(CLASS_ANNOTATION)
        .map(String::as_str)
        .filter(|class| *class != CLASS)
}
