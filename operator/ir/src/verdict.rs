//! What of an Ingress cannot be served, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of one Ingress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whole, in part, or not at all.
    pub outcome: Outcome,
    /// Why not whole, in field order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<Rejection>,
}

/// How much of an Ingress is served. Warnings ([`Reason::warns`]) change nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// All of it.
    Accepted,
    /// All but the fields that the rejections name.
    Partial,
    /// None of this generation; last good configuration keeps serving.
    Refused,
}

/// One thing that cannot be served: a value, never an error of the whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rejection {
    /// The kind of fault; status reason and metric label.
    pub reason: Reason,
    /// Path of the field, such as `spec.rules[0].http.paths[1].splits[0].servicePort`.
    pub field: String,
    /// What stands there, or what is missing.
    pub found: String,
    /// What would be right.
    pub expected: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: found {}, expected {}; {}",
            self.reason, self.field, self.found, self.expected, self.fix
        )
    }
}

/// Why something is not served. Refusing reasons are faults of a spec that
/// Knative's own validation would not admit, or that cannot be planned at all;
/// the others take down only what they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The spec breaks the API's own rules (`ingress_validation.go`).
    InvalidSpec,
    /// A rule without hosts: "all hosts" has no scope.
    HostRequired,
    /// Percentages that do not sum to 100.
    PercentSum,
    /// A backend in another namespace than the Ingress.
    CrossNamespaceBackend,
    /// A host that no gateway can look up.
    InvalidHost,
    /// A wildcard host; scopes are exact.
    WildcardHost,
    /// The same host twice on one side of one Ingress; the first rule serves it.
    DuplicateHost,
    /// The host belongs to another Ingress.
    DomainConflict,
    /// A cluster-local name of another namespace.
    ForeignLocalName,
    /// A path that no request path can start with.
    InvalidPath,
    /// A header name that is not allowed on the wire or may not be set.
    InvalidHeaderName,
    /// A header value that is not allowed on the wire.
    InvalidHeaderValue,
    /// A `rewriteHost` that is not a host.
    InvalidRewriteHost,
    /// The Service does not exist.
    ServiceMissing,
    /// The Service has no such port.
    PortMissing,
    /// An ExternalName that is empty, not a name, or points where no backend may be.
    ForbiddenExternalName,
    /// A rewrite that leads back into a gateway more than one level deep.
    RewriteLoop,
    /// A rewrite to a host that another namespace owns.
    CrossNamespaceRewrite,
    /// Backends speak TLS, and no root is there to trust them by.
    TrustMissing,
    /// The Secret does not exist.
    SecretMissing,
    /// The Secret is in another namespace than the Ingress.
    CrossNamespaceSecret,
    /// The Secret holds no readable certificate or key.
    CertificateInvalid,
    /// Key and certificate do not belong together.
    KeyMismatch,
    /// The certificate's time is over; it is served all the same.
    CertificateExpired,
    /// The certificate's time has not come; it is served all the same.
    CertificateNotYetValid,
    /// The certificate does not cover a host of the rule; it is served all the same.
    CertificateHostMismatch,
    /// A `tls` entry that covers the hosts of a rule only in part, or of none, or
    /// a redirect without a certificate: plain HTTP is served.
    TlsNotApplied,
    /// A gateway refused what was built.
    GatewayRefused,
}

impl Reason {
    /// Whether this fault refuses the whole generation.
    #[must_use]
    pub fn refuses(self) -> bool {
        matches!(
            self,
            Reason::InvalidSpec
                | Reason::HostRequired
                | Reason::PercentSum
                | Reason::CrossNamespaceBackend
        )
    }
}

impl Reason {
    /// Whether everything is served all the same: said, but nothing is taken away.
    #[must_use]
    pub fn warns(self) -> bool {
        matches!(
            self,
            Reason::CertificateExpired
                | Reason::CertificateNotYetValid
                | Reason::CertificateHostMismatch
                | Reason::TlsNotApplied
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Verdict {
    /// A verdict from rejections: the worst of them decides.
    #[must_use]
    pub fn from_rejections(mut rejections: Vec<Rejection>) -> Self {
        rejections
            .sort_by(|a, b| (&a.field, a.reason, &a.found).cmp(&(&b.field, b.reason, &b.found)));
        rejections.dedup();
        let outcome = if rejections.iter().any(|r| r.reason.refuses()) {
            Outcome::Refused
        } else if rejections.iter().all(|r| r.reason.warns()) {
            Outcome::Accepted
        } else {
            Outcome::Partial
        };
        Self {
            outcome,
            rejections,
        }
    }
}
