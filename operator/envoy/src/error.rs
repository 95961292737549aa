//! What can go wrong in this room: only showing messages can.

/// Why a message cannot be shown as JSON or YAML.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// The descriptors built into this binary do not read.
    #[error(
        "built-in descriptors of envoy's messages do not read: {0}; run hack/generate-descriptors and build again"
    )]
    Descriptors(String),
    /// The descriptors lack a message type.
    #[error(
        "no descriptor of {message} among the built-in ones; run hack/generate-descriptors and build again"
    )]
    UnknownMessage {
        /// Full name of the message.
        message: String,
    },
    /// The bytes are not a message of the expected type.
    #[error("{object}: body is no {message}")]
    Body {
        /// The resource, or the message itself.
        object: String,
        /// Full name of the message expected.
        message: String,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// The message has no JSON form, such as an `Any` of a type without descriptor.
    #[error("{object}: {message} has no JSON form")]
    Json {
        /// The resource, or the message itself.
        object: String,
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
