//! YAML and JSON as a tree in which every value knows where it stands.

use std::fmt;
use std::thread;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Values a document may hold, aliases expanded: above what a file of the
/// largest size allowed can hold without aliases, far below what hurts.
const MAX_NODES: usize = 4_000_000;

/// Values that aliases may add to one file.
const MAX_REPLAYED: usize = 100_000;

/// Documents in one file.
const MAX_DOCUMENTS: usize = 20_000;

/// Levels of nesting: CustomResourceDefinitions, which may lie in the same
/// folder, go deepest.
const MAX_DEPTH: usize = 100;

/// The parser descends by recursion: up to 40 KiB a level in a debug build, more
/// than the stack of a thread allows by default.
const STACK_BYTES: usize = 16 << 20;

/// A value and its place: line and column count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// What a node holds, as JSON would have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// Not integral, or beyond 64 bits.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In document order; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// The key of a map entry and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// Text that is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: Option<u64>,
    pub(crate) column: Option<u64>,
    pub(crate) message: String,
}

/// Reads all documents of a text; empty documents are left out. JSON is YAML.
///
/// Scalars mean what they mean to `kubectl`: `yes` and `on` are booleans.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("parse".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || parse_on_deep_stack(text))
            .map_err(|error| SyntaxError::without_place(format!("no thread to parse on: {error}")))?
            .join()
            .unwrap_or_else(|_| Err(SyntaxError::without_place("the YAML parser failed".into())))
    })
}

fn parse_on_deep_stack(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 3 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_documents: MAX_DOCUMENTS,
            max_depth: MAX_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
        },
        with_snippet: false,
        emit_comments: false,
    };
    serde_saphyr::from_multiple_with_options::<Node>(text, options)
        .map_err(|error| SyntaxError::from_parser(error.without_snippet()))
}

impl SyntaxError {
    fn from_parser(error: &serde_saphyr::Error) -> Self {
        let location = error.location().filter(|at| at.line() > 0);
        let mut message = error.to_string();
        // The place is told apart from the words, and the parser's options are
        // not the reader's to set.
        for tail in [" at line ", ", set DuplicateKeyPolicy"] {
            if let Some(cut) = message.find(tail) {
                message.truncate(cut);
            }
        }
        let limits = [
            (
                "budget breached: Depth",
                format!("more than {MAX_DEPTH} levels of nesting"),
            ),
            (
                "alias replay limit",
                format!("aliases that stand for more than {MAX_REPLAYED} values"),
            ),
        ];
        for (start, words) in limits {
            if message.starts_with(start) {
                message = words;
            }
        }
        Self {
            line: location.map(|at| at.line()),
            column: location.map(|at| at.column()),
            message,
        }
    }

    fn without_place(message: String) -> Self {
        Self {
            line: None,
            column: None,
            message,
        }
    }
}

impl Node {
    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, node)| node)
    }

    fn entry(&self, key: &str) -> Option<(&Key, &Node)> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        entries
            .iter()
            .find(|(found, _)| found.text == key)
            .map(|(found, node)| (found, node))
    }

    /// The text of a node that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Line and column of the key that a field path ends in, such as
    /// `spec.rules[0].hosts`; of the deepest part of it that exists.
    pub(crate) fn place_of(&self, path: &str) -> (u64, u64) {
        let mut node = self;
        let mut place = (self.line, self.column);
        for step in steps(path) {
            match step {
                Step::Field(name) => {
                    let Some((key, value)) = node.entry(&name) else {
                        return place;
                    };
                    place = (key.line, key.column);
                    node = value;
                }
                Step::Index(index) => {
                    let Value::List(items) = &node.value else {
                        return place;
                    };
                    let Some(item) = items.get(index) else {
                        return place;
                    };
                    place = (item.line, item.column);
                    node = item;
                }
            }
        }
        place
    }

    /// The value without places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(value) => value.as_str().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key.text.clone(), node.to_json()))
                .collect(),
        }
    }

    /// What stands here, for an error; long text is cut.
    pub(crate) fn describe(&self) -> String {
        const SHOWN: usize = 60;
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) if text.chars().count() > SHOWN => {
                let head: String = text.chars().take(SHOWN).collect();
                format!("the text {head:?}…")
            }
            Value::Text(text) => format!("the text {text:?}"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// As [`Node::describe`], without the value itself.
    pub(crate) fn describe_kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

enum Step {
    Field(String),
    Index(usize),
}

/// Splits a field path. A name in brackets that is no number (a map key with
/// dots in it, such as `metadata.labels[example.com/team]`) is a field.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (inner, after) = bracketed.split_once(']').unwrap_or((bracketed, ""));
            steps.push(match inner.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Field(inner.trim_matches('"').to_owned()),
            });
            rest = after;
        } else {
            let rest_of_path = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest_of_path.find(['.', '[']).unwrap_or(rest_of_path.len());
            let (name, after) = rest_of_path.split_at(end);
            if !name.is_empty() {
                steps.push(Step::Field(name.to_owned()));
            } else if after == rest {
                break;
            }
            rest = after;
        }
    }
    steps
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            line: spanned.referenced.line(),
            column: spanned.referenced.column(),
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(match i64::try_from(value) {
            Ok(integer) => Value::Integer(integer),
            #[expect(clippy::cast_precision_loss, reason = "no field here is that large")]
            Err(_) => Value::Float(value as f64),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // Go's YAML to JSON turns 80.0 into 80, which is then an integer.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() < EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "checked above")]
            return Ok(Value::Integer(value as i64));
        }
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let node = access.next_value()?;
            let key = Key {
                text: key.value,
                line: key.referenced.line(),
                column: key.referenced.column(),
            };
            entries.push((key, node));
        }
        Ok(Value::Map(entries))
    }
}
