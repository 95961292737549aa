//! The data of the Secret, which no log may show.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret;

/// A Secret's data, decoded.
pub type Data = BTreeMap<String, Vec<u8>>;

/// What is kept, and the version to name when it is replaced.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The Secret's data. Private keys are among them.
    pub data: Data,
    /// The Secret's resource version.
    pub resource_version: String,
}

impl Kept {
    pub(super) fn of(secret: Secret) -> Self {
        let data = secret.data.unwrap_or_default();
        Self {
            data: data
                .into_iter()
                .map(|(key, value)| (key, value.0))
                .collect(),
            resource_version: secret.metadata.resource_version.unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("keys", &self.data.keys().collect::<Vec<_>>())
            .field("resource_version", &self.resource_version)
            .finish_non_exhaustive()
    }
}

/// The outcome of [`SecretKeeper::create`](super::SecretKeeper::create).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The Secret is this replica's.
    Made(Kept),
    /// Another replica made it first: read it.
    LostRace,
}

/// The outcome of [`SecretKeeper::replace`](super::SecretKeeper::replace).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The data are in place.
    Made(Kept),
    /// The Secret changed since it was read, or is gone: read it again.
    Conflict,
}
