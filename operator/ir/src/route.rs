//! Virtual hosts, routes, splits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Host, ServicePort};

/// Header names (lower case) and values, valid on the wire by construction in
/// `translate`.
pub type Headers = BTreeMap<String, String>;

/// Headers that Knative's own parts believe, and that no client may send
/// (`knative.dev/networking pkg/http/header`, `knative.dev/serving pkg/activator`):
/// removed from every request at entry, on both sides, before routing; what a
/// route sets stands. An explicit list, not prefixes: `Knative-Serving-Tag`,
/// `K-Network-Probe` and `K-Network-Hash` are what tag routing and probes live
/// on, and `K-Kubelet-Probe` says no more than a `User-Agent` that anybody may
/// send.
pub const CONTROL_HEADERS: [&str; 5] = [
    "k-passthrough-lb",
    "k-proxy-request",
    "knative-serving-default-route",
    "knative-serving-namespace",
    "knative-serving-revision",
];

/// The hosts of one rule that this Ingress owns on one side, and what they serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Index into `spec.rules`, so that answers can name the object's field.
    pub rule: usize,
    /// The owned hosts; never empty.
    pub hosts: BTreeSet<Host>,
    /// Answer plain HTTP with 301 to https, but for routes that keep HTTP.
    /// Only ever true on the external side with a usable certificate for each host.
    pub redirect: bool,
    /// In matching order: first match wins.
    pub routes: Vec<Route>,
}

/// One path of a rule, or one combination of two paths of a DomainMapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Index into `spec.rules[].http.paths`.
    pub path: usize,
    /// Literal prefix of the request path; starts with `/`.
    pub prefix: String,
    /// All of these must be present with exactly this value; names lower case.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// Answers on plain HTTP even where the virtual host redirects (the ACME
    /// challenge path, which must be reachable before there is a certificate).
    #[serde(default, skip_serializing_if = "is_false")]
    pub keeps_http: bool,
    /// What happens to a request that matches.
    pub action: Action,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Forward to one of the splits, chosen per request.
    Forward {
        /// The Host that the backend sees, if not the client's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host_rewrite: Option<String>,
        /// Set (replacing the client's) before a split is chosen.
        #[serde(default, skip_serializing_if = "Headers::is_empty")]
        set_headers: Headers,
        /// Percentages sum to 100; none is 0; never empty.
        splits: Vec<Split>,
    },
    /// Answer without a backend.
    Respond {
        /// HTTP status.
        status: u16,
        /// One line for the client: why.
        reason: String,
    },
}

/// A share of a route's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// 1 to 100.
    pub percent: u8,
    /// Who answers this share.
    pub backend: Backend,
    /// Set (replacing the client's and the route's) for this share.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub set_headers: Headers,
}

/// Who answers a share of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A cluster of the same plan.
    Cluster(ServicePort),
    /// Nobody: this share is 503, the other shares serve. The text says why.
    Unavailable(String),
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !value
}
