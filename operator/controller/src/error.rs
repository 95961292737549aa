//! What ends the controller.

/// Why [`crate::run`] ended before it was told to. What the API server refuses
/// is never among these: the controller waits, and says for what.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// A name of the options that is no DNS name.
    #[error("{option}: found {found:?}, which {source}; expected a DNS name such as {example}")]
    Option {
        /// Which option.
        option: &'static str,
        /// Its value.
        found: String,
        /// A right one.
        example: &'static str,
        /// What is wrong with it.
        source: sluice_ir::HostError,
    },
    /// A task that runs for ever ended: a fault of Sluice's own.
    #[error("{part} broke off; this is a fault of sluice: restart it, and report this line")]
    BrokeOff {
        /// What the task does.
        part: &'static str,
    },
}
