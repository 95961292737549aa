//! Which object a document is, and its content by type.

use std::fmt;

use serde::de::DeserializeOwned;
use sluice_crds as crds;
use sluice_ir::ObjectKey;
use sluice_translate::{Object, ObjectKind};

use super::document::Remark;
use super::node::{Node, Value};
use super::typed::typed;
use crate::fault::{FaultReason, Severity};

/// Kind, namespace and name: what makes two documents the same object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectId {
    pub(crate) kind: ObjectKind,
    pub(crate) key: ObjectKey,
}

impl ObjectId {
    pub(crate) fn ingress(key: &ObjectKey) -> Self {
        Self {
            kind: ObjectKind::Ingress,
            key: key.clone(),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", describe(self.kind), self.key)
    }
}

/// The word for a kind in a sentence.
pub(crate) fn describe(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Ingress => "ingress",
        ObjectKind::Service => "service",
        ObjectKind::Endpoints => "endpoints",
        ObjectKind::EndpointSlice => "endpointslice",
        ObjectKind::Secret => "secret",
    }
}

pub(super) fn id_of(node: &Node, kind: ObjectKind) -> Result<ObjectId, Remark> {
    let word = describe(kind);
    let metadata = node.get("metadata");
    let text = |name: &str| -> Result<Option<String>, Remark> {
        let Some(found) = metadata.and_then(|metadata| metadata.get(name)) else {
            return Ok(None);
        };
        match &found.value {
            Value::Null => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            Value::Text(text) => Ok(Some(text.clone())),
            _ => Err(Remark {
                severity: Severity::Error,
                reason: FaultReason::WrongType,
                place: (found.line, found.column),
                object: Some(word.into()),
                field: Some(format!("metadata.{name}")),
                message: format!(
                    "found {}, expected text; put it in quotes",
                    found.describe()
                ),
            }),
        }
    };
    let Some(name) = text("name")? else {
        return Err(Remark {
            severity: Severity::Error,
            reason: FaultReason::MissingField,
            place: node.place_of("metadata"),
            object: Some(word.into()),
            field: Some("metadata.name".into()),
            message: "missing; there is no API server here to make one up".into(),
        });
    };
    let namespace = text("namespace")?.unwrap_or_else(|| "default".into());
    for (field, value, longest, dots) in [
        ("name", &name, 253, true),
        ("namespace", &namespace, 63, false),
    ] {
        if !is_name(value, longest, dots) {
            return Err(Remark {
                severity: Severity::Error,
                reason: FaultReason::InvalidName,
                place: node.place_of(&format!("metadata.{field}")),
                object: Some(word.into()),
                field: Some(format!("metadata.{field}")),
                message: format!(
                    "found {value:?}, expected at most {longest} of the characters a-z, 0-9{} \
                     and '-', a letter or digit at either end",
                    if dots { ", '.'" } else { "" }
                ),
            });
        }
    }
    Ok(ObjectId {
        kind,
        key: ObjectKey::new(namespace, name),
    })
}

/// Kubernetes' names: DNS labels, or subdomains where dots may stand
/// (`k8s.io/apimachinery pkg/util/validation`).
fn is_name(text: &str, longest: usize, dots: bool) -> bool {
    let label = |label: &str| {
        let edge =
            |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = label.as_bytes();
        edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    };
    text.len() <= longest
        && if dots {
            text.split('.').all(label)
        } else {
            label(text)
        }
}

/// Reads the object and gives it the namespace it is in.
pub(super) fn object(node: &Node, id: &ObjectId) -> Result<Object, Remark> {
    let namespace = &id.key.namespace;
    Ok(match id.kind {
        ObjectKind::Ingress => {
            let mut object: crds::Ingress = read(node, id)?;
            object.metadata.namespace.clone_from(namespace);
            Object::Ingress(object)
        }
        ObjectKind::Service => {
            let mut object: crds::Service = read(node, id)?;
            object.metadata.namespace.clone_from(namespace);
            Object::Service(object)
        }
        ObjectKind::Endpoints => {
            let mut object: crds::Endpoints = read(node, id)?;
            object.metadata.namespace.clone_from(namespace);
            Object::Endpoints(object)
        }
        ObjectKind::EndpointSlice => {
            let mut object: crds::EndpointSlice = read(node, id)?;
            object.metadata.namespace.clone_from(namespace);
            Object::EndpointSlice(object)
        }
        ObjectKind::Secret => {
            let mut object: crds::Secret = read(node, id)?;
            object.metadata.namespace.clone_from(namespace);
            Object::Secret(object)
        }
    })
}

fn read<T: DeserializeOwned>(node: &Node, id: &ObjectId) -> Result<T, Remark> {
    typed(node).map_err(|mismatch| {
        let found = match id.kind {
            ObjectKind::Secret => mismatch.found_kind,
            _ => &mismatch.found,
        };
        Remark {
            severity: Severity::Error,
            reason: FaultReason::WrongType,
            place: (mismatch.line, mismatch.column),
            object: Some(id.to_string()),
            field: Some(mismatch.field()),
            message: format!("found {found}, expected {}", mismatch.expected),
        }
    })
}
