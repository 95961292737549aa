//! The part of `metadata` that Sluice uses.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::null;

/// `metadata`, slim: what is not used is dropped at the door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Object name.
    #[serde(deserialize_with = "null::value")]
    pub name: String,
    /// Namespace; empty where the document leaves it out.
    #[serde(
        deserialize_with = "null::value",
        skip_serializing_if = "String::is_empty"
    )]
    pub namespace: String,
    /// Labels.
    #[serde(
        deserialize_with = "null::map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(
        deserialize_with = "null::map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Counts spec changes; 0 where unknown.
    #[serde(deserialize_with = "null::value", skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When the API server stored it first; decides who owns a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Timestamp>,
    /// Set while the object is being deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
pub(crate) fn is_zero(value: &i64) -> bool {
    *value == 0
}
