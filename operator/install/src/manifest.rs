//! Objects as manifests have them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::InstallError;

/// The largest manifest of Knative's releases has some 100,000 nodes.
const MAX_NODES: usize = 2_000_000;

/// Which object: enough to find it in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// None for what belongs to the cluster as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `controller`.
    pub name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

impl Reference {
    /// The API group; empty for the core one.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
    }

    /// True of a kind that users' objects may be of.
    #[must_use]
    pub fn is_definition(&self) -> bool {
        self.kind == "CustomResourceDefinition"
    }
}

/// An object that is to be in a cluster. Its content never shows in `Debug`: some are
/// Secrets.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// Which it is.
    pub reference: Reference,
    /// All of it.
    pub body: Value,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reference)
    }
}

impl Object {
    /// # Errors
    /// [`InstallError::Manifest`] where kind or name are missing.
    pub fn new(body: Value, source: &str) -> Result<Self, InstallError> {
        let word = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let wanted = |pointer: &'static str| {
            word(pointer).ok_or_else(|| InstallError::Manifest {
                file: source.to_owned(),
                what: format!(
                    "an object without {}; every object has apiVersion, kind and metadata.name",
                    pointer.trim_start_matches('/').replace('/', ".")
                ),
            })
        };
        let reference = Reference {
            api_version: wanted("/apiVersion")?,
            kind: wanted("/kind")?,
            namespace: word("/metadata/namespace"),
            name: wanted("/metadata/name")?,
        };
        Ok(Self { reference, body })
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.body
            .get("metadata")?
            .get("labels")?
            .get(name)?
            .as_str()
    }
}

/// All objects of a text in YAML or JSON, in their order.
///
/// # Errors
/// [`InstallError::Manifest`] with the parser's words and place.
pub fn read(text: &str, source: &str) -> Result<Vec<Object>, InstallError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 3 * MAX_NODES,
            max_nodes: MAX_NODES,
        },
        with_snippet: false,
        emit_comments: false,
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            InstallError::Manifest {
                file: source.to_owned(),
                what: error.without_snippet().to_string(),
            }
        })?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(|document| Object::new(document, source))
        .collect()
}

/// The objects as one text in YAML, in their order.
///
/// # Errors
/// [`InstallError::Manifest`] where an object cannot be written.
pub fn write(objects: &[Object]) -> Result<String, InstallError> {
    let mut text = String::new();
    for object in objects {
        let body =
            serde_saphyr::to_string(&object.body).map_err(|error| InstallError::Manifest {
                file: object.reference.to_string(),
                what: error.to_string(),
            })?;
        text.push_str("---\n");
        text.push_str(&body);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// What must be done before an object goes, by name.
pub(crate) fn finalizers(body: &Value) -> Vec<&str> {
    let names = body.pointer("/metadata/finalizers");
    let names = names.and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_comments_are_no_objects() {
        let objects = read(
            "# licence\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n# end\n",
            "a.yaml",
        )
        .unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].reference.to_string(), "Namespace a");
    }

    #[test]
    fn an_object_without_a_name_is_refused_with_its_file() {
        let error = read("apiVersion: v1\nkind: Namespace\n", "a.yaml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.yaml: an object without metadata.name; every object has apiVersion, kind and metadata.name"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata: {k: \"a: |\\n  # b\\n\", n: \"010\", t: \"true\", e: ''}\n";
        let objects = read(text, "a.yaml").unwrap();
        assert_eq!(read(&write(&objects).unwrap(), "again").unwrap(), objects);
    }

    #[test]
    fn content_never_shows() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: b}\nstringData: {k: hidden}\n";
        assert_eq!(format!("{:?}", read(text, "a").unwrap()), "[Secret b/a]");
    }
}
