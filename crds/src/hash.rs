//! `K-Network-Hash`: by which a probe tells one configuration from another.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::{Ingress, IngressSpec};

impl Ingress {
    /// The value of `K-Network-Hash` for this Ingress: 64 hexadecimal digits of
    /// SHA-256 over the spec as Go writes it after defaulting, the namespace and
    /// the name, with nothing between them (Knative's `ComputeHash`,
    /// `knative.dev/networking pkg/ingress/ingress.go`).
    ///
    /// The order is that of the reference implementation (net-kourier, `ReconcileKind`):
    /// default first, then hash, then insert probe routes, which are no part of it. So
    /// an Ingress as stored and its [`Ingress::defaulted`] copy hash alike, and an
    /// `httpOption` that is not set is hashed as not set.
    #[must_use]
    pub fn network_hash(&self) -> String {
        let metadata = &self.metadata;
        hash(&self.defaulted().spec, &metadata.namespace, &metadata.name)
    }
}

/// The hash of a spec as it is.
pub(crate) fn hash(spec: &IngressSpec, namespace: &str, name: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(spec.go_json());
    digest.update(namespace);
    digest.update(name);
    let mut hex = String::with_capacity(64);
    for byte in digest.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
