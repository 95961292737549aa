//! What can go wrong in this room: only showing resources can.

use crate::Kind;

/// Why a message cannot be shown as JSON or YAML.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// The descriptors built into this binary do not read.
    #[error("the built-in descriptors of envoy's messages do not read; build this binary again")]
    Descriptors(#[source] prost_reflect::DescriptorError),
    /// The descriptors lack a message type.
    #[error(
        "no descriptor of {message}, expected one of those in descriptors.bin; run hack/generate-descriptors"
    )]
    UnknownMessage {
        /// Full name of the message.
        message: String,
    },
    /// The bytes are not a message of the resource's type.
    #[error("{kind} {name}: body is no {message}")]
    Body {
        /// Type of the resource.
        kind: Kind,
        /// Name of the resource.
        name: String,
        /// Full name of the message expected.
        message: String,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// The message has no JSON form.
    #[error("{message} has no JSON form")]
    Json {
        /// Full name of the message.
        message: String,
        /// What the serialiser says.
        #[source]
        source: serde_json::Error,
    },
    /// The value has no YAML form.
    #[error("value has no YAML form")]
    Yaml(#[source] serde_saphyr::SerializeError),
}
