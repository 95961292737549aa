//! Knative's `Ingress`, `networking.internal.knative.dev/v1alpha1`.
//!
//! Field order is Go's (`knative.dev/networking
//! pkg/apis/networking/v1alpha1/ingress_types.go`): the hash depends on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{IntOrString, ObjectMeta};

/// One Ingress: what Serving's Route or DomainMapping wants reachable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// Name, namespace, class annotation, generation, age.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: IngressSpec,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Certificates for hosts.
    pub tls: Vec<IngressTls>,
    /// What each set of hosts serves.
    pub rules: Vec<IngressRule>,
    /// Whether plain HTTP is served or redirected.
    pub http_option: HttpOption,
}

/// `spec.httpOption`. Kept as text: an unknown value must survive into the hash
/// and into the error that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HttpOption(pub String);

impl HttpOption {
    /// `Enabled`: plain HTTP is served.
    pub const ENABLED: &str = "Enabled";
    /// `Redirected`: plain HTTP from outside answers 301.
    pub const REDIRECTED: &str = "Redirected";

    /// Whether plain HTTP is to be redirected.
    #[must_use]
    pub fn redirects(&self) -> bool {
        self.0 == Self::REDIRECTED
    }
}

/// `spec.tls[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Hosts that the certificate is for.
    pub hosts: Vec<String>,
    /// Name of the Secret.
    pub secret_name: String,
    /// Namespace of the Secret; has to be the Ingress's own.
    pub secret_namespace: String,
}

/// `spec.rules[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    /// Exact host names.
    pub hosts: Vec<String>,
    /// Who may reach them.
    pub visibility: Visibility,
    /// The paths; a rule without is invalid.
    pub http: Option<HttpIngressRuleValue>,
}

/// `spec.rules[].visibility`, kept as text like [`HttpOption`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Visibility(pub String);

impl Visibility {
    /// `ExternalIP`: from outside and inside; the default.
    pub const EXTERNAL_IP: &str = "ExternalIP";
    /// `ClusterLocal`: from inside only.
    pub const CLUSTER_LOCAL: &str = "ClusterLocal";
}

/// `spec.rules[].http`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpIngressRuleValue {
    /// Alternatives by path prefix and headers.
    pub paths: Vec<HttpIngressPath>,
}

/// `spec.rules[].http.paths[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpIngressPath {
    /// Literal prefix; empty for all.
    pub path: String,
    /// Host towards the backend.
    pub rewrite_host: String,
    /// Headers that must match, all of them.
    pub headers: BTreeMap<String, HeaderMatch>,
    /// Shares of the traffic.
    pub splits: Vec<IngressBackendSplit>,
    /// Request headers set before the split.
    pub append_headers: BTreeMap<String, String>,
}

/// `spec.rules[].http.paths[].headers.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderMatch {
    /// The whole value.
    pub exact: String,
}

/// `spec.rules[].http.paths[].splits[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackendSplit {
    /// Has to be the Ingress's own namespace.
    pub service_namespace: String,
    /// The Service.
    pub service_name: String,
    /// Its port, by number or name.
    pub service_port: IntOrString,
    /// Share in percent.
    pub percent: i64,
    /// Request headers set for this share.
    pub append_headers: BTreeMap<String, String>,
}
