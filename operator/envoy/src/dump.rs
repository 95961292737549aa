//! Resources as people read them.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{Content, EnvoyError, Kind, Resource, pb};

/// Descriptors of every message that is sent, without comments and options;
/// made by `hack/generate-descriptors`.
static DESCRIPTORS: &[u8] = include_bytes!("../descriptors.bin");

/// One resource in protobuf's JSON form, with Envoy's field names, every nested
/// `Any` decoded, and private keys redacted. A resource that holds (no content)
/// shows its standby.
///
/// # Errors
/// [`EnvoyError`] where the body is no message of the resource's type.
pub fn dump(resource: &Resource) -> Result<Value, EnvoyError> {
    let content = resource.content.as_ref().or(resource.standby.as_ref());
    content.map_or(Ok(Value::Null), |content| {
        dump_content(resource.kind, &resource.name, content)
    })
}

/// One content of a resource, as [`dump`] shows it.
///
/// # Errors
/// As [`dump`].
pub fn dump_content(kind: Kind, name: &str, content: &Content) -> Result<Value, EnvoyError> {
    let message = kind
        .type_url()
        .rsplit_once('/')
        .map_or(kind.type_url(), |(_, message)| message);
    let object = format!("{kind} {name}");
    if kind != Kind::Secret {
        return show(&object, message, &content.body);
    }
    let mut secret =
        pb::Secret::decode(content.body.as_ref()).map_err(|source| EnvoyError::Body {
            object: object.clone(),
            message: message.to_owned(),
            source,
        })?;
    name.clone_into(&mut secret.name);
    redact(&mut secret);
    show(&object, message, &secret.encode_to_vec())
}

/// Resources by discovery service (`CDS`, `EDS`, `LDS`, `SRDS`, `RDS`, `SDS`)
/// and name, each as [`dump`] shows it; services without resources are left out.
///
/// # Errors
/// As [`dump`].
pub fn dump_all<'a>(
    resources: impl IntoIterator<Item = &'a Resource>,
) -> Result<Value, EnvoyError> {
    let mut resources: Vec<&Resource> = resources.into_iter().collect();
    resources.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let mut services = Map::new();
    for resource in resources {
        let by_name = services
            .entry(resource.kind.service())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(by_name) = by_name {
            by_name.insert(resource.name.clone(), dump(resource)?);
        }
    }
    Ok(Value::Object(services))
}

/// The YAML of a dump.
///
/// # Errors
/// [`EnvoyError::Yaml`].
pub fn yaml(value: &Value) -> Result<String, EnvoyError> {
    serde_saphyr::to_string(value).map_err(EnvoyError::Yaml)
}

/// Any message that the descriptors know, as [`dump`] shows a resource.
pub(crate) fn message<M: Message + prost::Name>(message: &M) -> Result<Value, EnvoyError> {
    let name = M::full_name();
    show(&name, &name, &message.encode_to_vec())
}

fn show(object: &str, message: &str, bytes: &[u8]) -> Result<Value, EnvoyError> {
    let descriptor =
        pool()?
            .get_message_by_name(message)
            .ok_or_else(|| EnvoyError::UnknownMessage {
                message: message.to_owned(),
            })?;
    let shown = DynamicMessage::decode(descriptor, bytes).map_err(|source| EnvoyError::Body {
        object: object.to_owned(),
        message: message.to_owned(),
        source,
    })?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false);
    shown
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|source| EnvoyError::Json {
            object: object.to_owned(),
            message: message.to_owned(),
            source,
        })
}

fn pool() -> Result<&'static DescriptorPool, EnvoyError> {
    static POOL: OnceLock<Result<DescriptorPool, String>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| EnvoyError::Descriptors(error.clone()))
}

/// Replaces a key by a fingerprint of it, as `ir::PrivateKey` shows itself.
fn redact(secret: &mut pb::Secret) {
    let Some(pb::secret::Type::TlsCertificate(certificate)) = &mut secret.r#type else {
        return;
    };
    let key = match certificate.private_key.take().and_then(|key| key.specifier) {
        Some(pb::DataSpecifier::InlineString(key)) => key.into_bytes(),
        Some(pb::DataSpecifier::InlineBytes(key)) => key,
        _ => return,
    };
    let digest = Sha256::digest(&key);
    let short: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
    certificate.private_key = pb::inline(format!("[redacted sha256:{short}]"));
}
