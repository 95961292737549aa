//! The name of a gateway, and how a certificate carries it.

use std::fmt;

use crate::error::IdentityError;

const PREFIX: &str = "spiffe://sluice/gateway/";
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// One pod of the gateways.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
}

impl GatewayName {
    /// The name as a URI, `spiffe://sluice/gateway/<namespace>/<pod>`.
    ///
    /// # Errors
    /// [`IdentityError::BadName`] where Kubernetes has no such pod. A slash in
    /// one part could otherwise make the URI of another gateway.
    pub fn uri(&self) -> Result<String, IdentityError> {
        if self.namespace.contains('.') || self.namespace.len() > LONGEST_LABEL {
            return Err(bad("namespace", &self.namespace));
        }
        check("namespace", &self.namespace)?;
        check("pod", &self.pod)?;
        Ok(format!("{PREFIX}{self}"))
    }

    /// The gateway that a URI names; `None` if it names none.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        let (namespace, pod) = uri.strip_prefix(PREFIX)?.split_once('/')?;
        let name = Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
        };
        name.uri().is_ok().then_some(name)
    }
}

impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.pod)
    }
}

/// Kubernetes bounds a pod's name as a whole, not its labels: the one that a
/// Deployment makes may be longer than a label.
fn check(field: &'static str, found: &str) -> Result<(), IdentityError> {
    let is_part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty()
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if found.len() > LONGEST_NAME || !found.split('.').all(is_part) {
        return Err(bad(field, found));
    }
    Ok(())
}

fn bad(field: &'static str, found: &str) -> IdentityError {
    IdentityError::BadName {
        field,
        found: found.chars().take(LONGEST_NAME).collect(),
        expected: "a name of lower-case letters, digits, `-` and (pods only) `.`, each part beginning and ending with a letter or digit",
    }
}
