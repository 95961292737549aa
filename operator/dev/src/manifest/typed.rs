//! A tree of [`Node`]s read into a type, with an error that names the field.
//!
//! Go's rules, since the API server's decoder is Go's: `null` is the same as a
//! field left out.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, UnitDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Key, Node, Value};

/// A value of the wrong kind, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Steps from the value up to the root; see [`Mismatch::field`].
    steps: Vec<String>,
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) found: String,
    /// `found` without the value, for objects whose values are secret.
    pub(crate) found_kind: &'static str,
    pub(crate) expected: String,
}

impl Mismatch {
    /// The field's path, such as `spec.rules[0].hosts`.
    pub(crate) fn field(&self) -> String {
        let path: String = self.steps.iter().rev().map(String::as_str).collect();
        path.strip_prefix('.').unwrap_or(&path).to_owned()
    }

    fn expected(expected: impl fmt::Display) -> Self {
        Self {
            steps: Vec::new(),
            line: 0,
            column: 0,
            found: String::new(),
            found_kind: "",
            expected: expected.to_string(),
        }
    }

    /// Fills in the place, unless a deeper value has done so.
    fn at(mut self, node: &Node) -> Self {
        if self.line == 0 {
            self.line = node.line;
            self.column = node.column;
            self.found = node.describe();
            self.found_kind = node.describe_kind();
        }
        self
    }

    fn below(mut self, step: String) -> Self {
        self.steps.push(step);
        self
    }
}

/// One step of a path; a key that reads as more than one step is put in brackets.
pub(crate) fn field_step(key: &str) -> String {
    if key.contains(['.', '[', ']', '/']) {
        format!("[{key}]")
    } else {
        format!(".{key}")
    }
}

/// Reads a tree into a type.
pub(crate) fn typed<T: DeserializeOwned>(node: &Node) -> Result<T, Mismatch> {
    T::deserialize(Reader(node)).map_err(|error| error.at(node))
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: found {}, expected {}",
            self.field(),
            self.found,
            self.expected
        )
    }
}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::expected(format_args!("something else ({message})"))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(expected)
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(expected)
    }
}

#[derive(Clone, Copy)]
struct Reader<'de>(&'de Node);

impl Reader<'_> {
    fn integer<T: TryFrom<i64>>(self, low: i64, high: i64) -> Result<T, Mismatch> {
        let wrong = || {
            if (low, high) == (i64::MIN, i64::MAX) {
                Mismatch::expected("an integer").at(self.0)
            } else {
                Mismatch::expected(format_args!("an integer from {low} to {high}")).at(self.0)
            }
        };
        match &self.0.value {
            Value::Integer(value) => T::try_from(*value).map_err(|_| wrong()),
            Value::Null => T::try_from(0).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $kind:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            let low = i64::try_from(<$kind>::MIN).unwrap_or(i64::MIN);
            let high = i64::try_from(<$kind>::MAX).unwrap_or(i64::MAX);
            let value: $kind = self.integer(low, high)?;
            visitor.$visit(value).map_err(|error: Mismatch| error.at(self.0))
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => visitor.visit_seq(Items::new(items)),
            Value::Map(entries) => visitor.visit_map(Entries::all(entries)),
        }
        .map_err(|error: Mismatch| error.at(self.0))
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.0.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Null => visitor.visit_bool(false),
            _ => Err(Mismatch::expected("true or false")),
        }
        .map_err(|error| error.at(self.0))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.0.value {
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::Null => visitor.visit_borrowed_str(""),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
                Err(Mismatch::expected("text; put it in quotes"))
            }
            _ => Err(Mismatch::expected("text")),
        }
        .map_err(|error| error.at(self.0))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|error| error.at(self.0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.0.value {
            Value::List(items) => visitor.visit_seq(Items::new(items)),
            Value::Null => visitor.visit_seq(Items::new(&[])),
            _ => Err(Mismatch::expected("a list")),
        }
        .map_err(|error| error.at(self.0))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Entries::all(entries)),
            Value::Null => visitor.visit_map(Entries::all(&[])),
            _ => Err(Mismatch::expected("a map")),
        }
        .map_err(|error| error.at(self.0))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Entries::set(entries)),
            Value::Null => visitor.visit_map(Entries::set(&[])),
            _ => Err(Mismatch::expected(format_args!(
                "a map with fields such as {}",
                fields
                    .iter()
                    .take(3)
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
        .map_err(|error| error.at(self.0))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor
            .visit_newtype_struct(self)
            .map_err(|error: Mismatch| error.at(self.0))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> Items<'de> {
    fn new(items: &'de [Node]) -> Self {
        Self {
            items: items.iter(),
            index: 0,
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mismatch> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Reader(item))
            .map(Some)
            .map_err(|error| error.at(item).below(format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    /// Fields that are null count as left out.
    skip_null: bool,
    value: Option<(&'de Key, &'de Node)>,
}

impl<'de> Entries<'de> {
    fn all(entries: &'de [(Key, Node)]) -> Self {
        Self {
            entries: entries.iter(),
            skip_null: false,
            value: None,
        }
    }

    fn set(entries: &'de [(Key, Node)]) -> Self {
        Self {
            skip_null: true,
            ..Self::all(entries)
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mismatch> {
        let skip_null = self.skip_null;
        let next = self
            .entries
            .find(|(_, node)| !(skip_null && node.value == Value::Null));
        let Some((key, node)) = next else {
            return Ok(None);
        };
        self.value = Some((key, node));
        let text: BorrowedStrDeserializer<'de, Mismatch> = BorrowedStrDeserializer::new(&key.text);
        seed.deserialize(text).map(Some).map_err(|mut error| {
            if error.line == 0 {
                error.line = key.line;
                error.column = key.column;
                error.found = format!("the key {:?}", key.text);
                error.found_kind = "a key";
            }
            error
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        match self.value.take() {
            Some((key, node)) => seed
                .deserialize(Reader(node))
                .map_err(|error| error.at(node).below(field_step(&key.text))),
            None => {
                let nothing: UnitDeserializer<Mismatch> = ().into_deserializer();
                seed.deserialize(nothing)
            }
        }
    }
}
