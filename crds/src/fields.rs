//! Fields that a kind does not have: in a document that a person wrote, most
//! likely a slip.
//!
//! A reader of a cluster must not mind them, since newer versions add fields; so
//! this is apart from reading. What a kind has stands in `fields.txt`, written by
//! `hack/generate-golden-hash` from the Go types: an Ingress to its last field,
//! the core kinds down to where Sluice stops reading them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde_json::Value;

/// A line per field, `Kind path`: `[]` for the elements of a list, `*` for the
/// values of a map.
const TABLE: &str = include_str!("fields.txt");

static KINDS: LazyLock<Node> = LazyLock::new(|| read(TABLE));

/// A kind of object that Sluice reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Knative's, `networking.internal.knative.dev/v1alpha1`.
    Ingress,
    /// `v1`.
    Service,
    /// `v1`.
    Endpoints,
    /// `discovery.k8s.io/v1`.
    EndpointSlice,
    /// `v1`.
    Secret,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [
        Kind::Ingress,
        Kind::Service,
        Kind::Endpoints,
        Kind::EndpointSlice,
        Kind::Secret,
    ];

    /// What `apiVersion` says in a document of this kind.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Kind::Ingress => "networking.internal.knative.dev/v1alpha1",
            Kind::Service | Kind::Endpoints | Kind::Secret => "v1",
            Kind::EndpointSlice => "discovery.k8s.io/v1",
        }
    }
}

/// What `kind` says in a document of this kind.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A field that its kind does not have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownField {
    /// Path of the field, such as `spec.rules[0].hsots`; a name with a dot, slash
    /// or bracket in it stands in brackets, such as `metadata[example.com/team]`.
    pub path: String,
    /// The field of that place whose name is nearly the same, where there is one.
    pub meant: Option<&'static str>,
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: unknown field", self.path)?;
        match self.meant {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => Ok(()),
        }
    }
}

/// The fields of a document that its kind does not have, in document order.
///
/// Names count letter by letter: `httpoption` is unknown. Below an unknown field
/// nothing is looked at, nor where a value is of another shape than the field
/// (reading reports that), nor inside fields of core kinds that Sluice does not
/// read, such as `status`.
#[must_use]
pub fn unknown_fields(kind: Kind, document: &Value) -> Vec<UnknownField> {
    let mut unknown = Vec::new();
    if let Some(node) = KINDS.0.get(kind.to_string().as_str()) {
        node.compare(document, "", &mut unknown);
    }
    unknown
}

/// What may stand at one place of a document, by step: the name of a field,
/// [`ELEMENTS`] or [`VALUES`]. Without steps, anything.
#[derive(Default)]
struct Node(BTreeMap<&'static str, Node>);

const ELEMENTS: &str = "[]";
const VALUES: &str = "*";

/// Reads a table; the steps of the topmost node are the kinds.
fn read(table: &'static str) -> Node {
    let mut kinds = Node::default();
    for line in table.lines() {
        let (kind, path) = line.split_once(' ').unwrap_or((line, ""));
        let mut node = kinds.0.entry(kind).or_default();
        for step in path.split('.') {
            let name = step.trim_end_matches(ELEMENTS);
            node = node.0.entry(name).or_default();
            if name != step {
                node = node.0.entry(ELEMENTS).or_default();
            }
        }
    }
    kinds
}

impl Node {
    fn compare(&self, value: &Value, path: &str, unknown: &mut Vec<UnknownField>) {
        let Self(steps) = self;
        match value {
            Value::Array(elements) => {
                let Some(node) = steps.get(ELEMENTS) else {
                    return;
                };
                for (index, element) in elements.iter().enumerate() {
                    node.compare(element, &format!("{path}[{index}]"), unknown);
                }
            }
            Value::Object(entries) if steps.contains_key(VALUES) => {
                let node = &steps[VALUES];
                for (key, value) in entries {
                    node.compare(value, &below(path, key), unknown);
                }
            }
            Value::Object(entries) if !steps.is_empty() && !steps.contains_key(ELEMENTS) => {
                for (name, value) in entries {
                    let path = below(path, name);
                    match steps.get(name.as_str()) {
                        Some(node) => node.compare(value, &path, unknown),
                        None => unknown.push(UnknownField {
                            path,
                            meant: nearest(name, steps.keys().copied()),
                        }),
                    }
                }
            }
            _ => {}
        }
    }
}

fn below(path: &str, name: &str) -> String {
    if name.contains(['.', '/', '[', ']']) {
        format!("{path}[{name}]")
    } else if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The name that differs in letter case alone, else the one at most two letters
/// away; one letter where the name is short.
fn nearest(name: &str, known: impl Iterator<Item = &'static str> + Clone) -> Option<&'static str> {
    let allowed = if name.len() < 5 { 1 } else { 2 };
    let same = known.clone().find(|known| known.eq_ignore_ascii_case(name));
    same.or_else(|| {
        known
            .map(|known| (letters_between(name, known), known))
            .filter(|(letters, _)| *letters <= allowed)
            .min()
            .map(|(_, known)| known)
    })
}

/// How many letters to put in, take out or change to get from one name to the
/// other (Levenshtein's distance).
fn letters_between(name: &str, known: &str) -> usize {
    // What is far off in length is far off; this bounds the work for long names.
    if name.len().abs_diff(known.len()) > 2 {
        return usize::MAX;
    }
    let known = known.as_bytes();
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (taken, letter) in name.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = taken + 1;
        for (column, other) in known.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[known.len()]
}
