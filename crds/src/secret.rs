//! Secrets: read for their bytes, never shown.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::{ObjectMeta, null};

/// Base64 as Go reads it: padding has to be there, bits left over may be set.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// `v1 Secret`; its values never show in `Debug` or in an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// Name and namespace.
    #[serde(deserialize_with = "null::value")]
    pub metadata: ObjectMeta,
    /// `kubernetes.io/tls` and others.
    #[serde(rename = "type", deserialize_with = "null::value")]
    pub kind: String,
    /// Values, base64 in the document.
    #[serde(deserialize_with = "null::map")]
    pub data: BTreeMap<String, SecretValue>,
    /// Values in plain text, which the API server would fold into `data`.
    #[serde(deserialize_with = "null::map")]
    pub string_data: BTreeMap<String, SecretValue>,
}

/// A Secret that cannot be read. Names the field, never the value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SecretError {
    /// A value of `data` that no API server would take.
    #[error(
        "secret {namespace}/{name}: data[{key}]: found text that is not base64, expected the \
         value in base64 with padding; encode it, or write it under stringData"
    )]
    NotBase64 {
        /// Namespace of the Secret.
        namespace: String,
        /// Name of the Secret.
        name: String,
        /// Key under `data`.
        key: String,
    },
}

impl Secret {
    /// The bytes of a value: from `stringData` where it is there, which an API
    /// server would write over `data`, else decoded from `data`. None where the
    /// Secret has no such key.
    ///
    /// Base64 is read as an API server reads it: line ends are skipped, padding
    /// has to be there, other white space may not be.
    ///
    /// # Errors
    ///
    /// [`SecretError::NotBase64`] for a value of `data` that is not.
    pub fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, SecretError> {
        if let Some(SecretValue(text)) = self.string_data.get(key) {
            return Ok(Some(text.clone().into_bytes()));
        }
        let Some(SecretValue(text)) = self.data.get(key) else {
            return Ok(None);
        };
        let on_one_line: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        match BASE64.decode(on_one_line) {
            Ok(bytes) => Ok(Some(bytes)),
            // What the decoder says holds a byte of the value.
            Err(_) => Err(SecretError::NotBase64 {
                namespace: self.metadata.namespace.clone(),
                name: self.metadata.name.clone(),
                key: key.to_owned(),
            }),
        }
    }
}

/// One value of a Secret as it stands in the document (base64 under `data`).
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SecretValue(String);

impl SecretValue {
    /// The text as it stands in the document.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretValue {
    /// The text as it is to stand in the document.
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// By hand, since a derived reader would show a value that is not text in its error.
impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = SecretValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretValue, E> {
        Ok(SecretValue(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<SecretValue, E> {
        Ok(SecretValue(text))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretValue, E> {
        Err(E::invalid_type(Unexpected::Other("a boolean"), &self))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretValue, E> {
        Err(E::invalid_type(Unexpected::Other("a number"), &self))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretValue, E> {
        Err(E::invalid_type(Unexpected::Other("a number"), &self))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretValue, E> {
        Err(E::invalid_type(Unexpected::Other("a number"), &self))
    }

    /// `null`, which Go reads as a value of no bytes.
    fn visit_unit<E: de::Error>(self) -> Result<SecretValue, E> {
        Ok(SecretValue::default())
    }
}
