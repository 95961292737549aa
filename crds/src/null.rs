//! `null`, read as Go reads it: as if the value were not there.
//!
//! Go's decoder leaves a value as it is when the document says `null`, so text
//! stays empty and a number stays 0, also for the elements of a list and the
//! values of a map. API servers do write `null`: an EndpointSlice without
//! endpoints has `"endpoints": null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// A single value; its default for `null`.
pub(crate) fn value<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list; empty for `null`, and a default element for each `null` in it.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let elements: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(elements.map(filled).unwrap_or_default())
}

/// A map; empty for `null`, and a default value for each `null` in it.
pub(crate) fn map<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let entries: Option<BTreeMap<String, Option<T>>> = Option::deserialize(deserializer)?;
    Ok(entries
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect())
}

/// The elements with a default in the place of each that is absent.
pub(crate) fn filled<T: Default>(elements: Vec<Option<T>>) -> Vec<T> {
    elements
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect()
}
