//! Resources as people read them.

use serde_json::Value;

use crate::{EnvoyError, Resource};

/// One resource in protobuf's JSON form, with Envoy's field names, every nested
/// `Any` decoded, and private keys redacted. A resource that holds (no content)
/// shows its standby.
///
/// # Errors
/// [`EnvoyError`] where the body is no message of the resource's type.
pub fn dump(resource: &Resource) -> Result<Value, EnvoyError> {
    let _ = resource;
    Ok(Value::Null)
}

/// Resources by type (`CDS`, `EDS`, `LDS`, `SRDS`, `RDS`, `SDS`) and name, as [`dump`] shows each.
///
/// # Errors
/// As [`dump`].
pub fn dump_all<'a>(
    resources: impl IntoIterator<Item = &'a Resource>,
) -> Result<Value, EnvoyError> {
    for resource in resources {
        dump(resource)?;
    }
    Ok(Value::Null)
}

/// The YAML of a dump.
///
/// # Errors
/// [`EnvoyError::Yaml`].
pub fn yaml(value: &Value) -> Result<String, EnvoyError> {
    serde_saphyr::to_string(value).map_err(EnvoyError::Yaml)
}
