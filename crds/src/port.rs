//! A port by number or by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Kubernetes' `intstr.IntOrString`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A port number; not checked for range here.
    Int(i32),
    /// A port name.
    String(String),
}

impl Default for IntOrString {
    fn default() -> Self {
        IntOrString::Int(0)
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntOrString::Int(number) => write!(f, "{number}"),
            IntOrString::String(name) => write!(f, "{name:?}"),
        }
    }
}
