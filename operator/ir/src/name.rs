//! Identities: objects, hosts, sides, Service ports.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Namespace and name of a Kubernetes object whose kind the context gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectKey {
    /// Joins a namespace and a name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ObjectKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !name.contains('/') => Ok(Self::new(namespace, name)),
            _ => Err(format!("expected namespace/name, found {text:?}")),
        }
    }
}

/// Who may reach a table: clients outside the cluster, or clients inside it.
///
/// External listeners key their scopes on `[host]`, internal ones on
/// `[host, host]`, so that no internal scope can match on an external listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The listeners on ports 80 and 443 of the public gateway Service.
    External,
    /// The listeners of the cluster-local gateway Service.
    Internal,
}

impl Side {
    /// Both sides, external first.
    pub const ALL: [Side; 2] = [Side::External, Side::Internal];

    /// The first segment of resource names: `ext` or `int`.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Side::External => "ext",
            Side::Internal => "int",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::External => "external",
            Side::Internal => "internal",
        })
    }
}

/// A host name as Envoy will look it up: lower case, no trailing dot, no port.
///
/// Only exact DNS names are hosts here. A scope key is compared byte for byte,
/// so a wildcard could never match anything (envoy#19098).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

/// Why a text is not a host that a gateway can serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing is left after folding.
    #[error("is empty")]
    Empty,
    /// Contains `*`; scopes have no wildcard.
    #[error("is a wildcard")]
    Wildcard,
    /// Longer than the 253 bytes that DNS allows.
    #[error("is {0} bytes long, DNS allows 253")]
    TooLong(usize),
    /// One label is empty or longer than the 63 bytes that DNS allows.
    #[error("has a label of {0} bytes, DNS allows 1 to 63")]
    Label(usize),
    /// A character that no authority may hold.
    #[error("contains {0:?}")]
    Character(char),
}

impl Host {
    /// Folds a host as written in an Ingress or sent by a client.
    ///
    /// # Errors
    /// [`HostError`] where the folded text is not an exact DNS name.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let mut folded = text.to_ascii_lowercase();
        if let Some((name, port)) = folded.rsplit_once(':')
            && !port.is_empty()
            && port.bytes().all(|b| b.is_ascii_digit())
        {
            folded = name.to_owned();
        }
        if folded.ends_with('.') {
            folded.pop();
        }
        if folded.is_empty() {
            return Err(HostError::Empty);
        }
        if folded.contains('*') {
            return Err(HostError::Wildcard);
        }
        if folded.len() > 253 {
            return Err(HostError::TooLong(folded.len()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if let Some(c) = folded.chars().find(|c| !allowed(*c)) {
            return Err(HostError::Character(c));
        }
        if let Some(label) = folded
            .split('.')
            .find(|label| label.is_empty() || label.len() > 63)
        {
            return Err(HostError::Label(label.len()));
        }
        Ok(Self(folded))
    }

    /// The folded name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// One port of one Service: the identity of a Cluster and of its
/// ClusterLoadAssignment, so that two Ingresses can never disagree on either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePort {
    /// The Service.
    pub service: ObjectKey,
    /// `spec.ports[].port` of the Service, also where an Ingress names the port.
    pub port: NonZeroU16,
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.port)
    }
}

impl FromStr for ServicePort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("expected namespace/name/port, found {text:?}");
        let (service, port) = text.rsplit_once('/').ok_or_else(wrong)?;
        Ok(Self {
            service: service.parse()?,
            port: port.parse().map_err(|_| wrong())?,
        })
    }
}

/// Serialises an identity by its text, so that it can be the key of a YAML map.
macro_rules! serde_by_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_by_text!(ObjectKey, Host, ServicePort);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_case_dot_and_port() {
        for text in [
            "A.Example.com",
            "a.example.com.",
            "a.example.com:8080",
            "A.example.com.:80",
        ] {
            assert_eq!(
                Host::parse(text).unwrap().as_str(),
                "a.example.com",
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_no_scope_can_match() {
        assert_eq!(Host::parse(""), Err(HostError::Empty));
        assert_eq!(Host::parse("*.a.b"), Err(HostError::Wildcard));
        assert_eq!(Host::parse("a..b"), Err(HostError::Label(0)));
        assert_eq!(Host::parse("a b"), Err(HostError::Character(' ')));
        assert_eq!(Host::parse(&"a.".repeat(150)), Err(HostError::TooLong(299)));
    }

    #[test]
    fn identities_round_trip_through_their_text() {
        let port: ServicePort = "default/hello/80".parse().unwrap();
        assert_eq!(port.to_string(), "default/hello/80");
        assert!("default/hello/0".parse::<ServicePort>().is_err());
        assert!("a/b/c".parse::<ObjectKey>().is_err());
    }
}
