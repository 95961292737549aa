//! Knative's `Ingress`, `networking.internal.knative.dev/v1alpha1`.
//!
//! Fields stand in Go's order, and are left out where Go leaves them out
//! (`knative.dev/networking pkg/apis/networking/v1alpha1/ingress_types.go`). The
//! hash depends on both; [`IngressSpec::go_json`] gives the exact bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meta::is_zero;
use crate::{IntOrString, List, ObjectMeta, null};

/// One Ingress: what Serving's Route or DomainMapping wants reachable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// Name, namespace, class annotation, generation, age.
    #[serde(deserialize_with = "null::value")]
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(deserialize_with = "null::value")]
    pub spec: IngressSpec,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Certificates for hosts.
    #[serde(deserialize_with = "null::list", skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<IngressTls>,
    /// What each set of hosts serves.
    #[serde(deserialize_with = "null::list", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<IngressRule>,
    /// Whether plain HTTP is served or redirected.
    #[serde(
        deserialize_with = "null::value",
        skip_serializing_if = "HttpOption::is_unset"
    )]
    pub http_option: HttpOption,
}

/// `spec.httpOption`. Kept as text: an unknown value must survive into the hash
/// and into the error that names it.
///
/// Unset means `Enabled` to whoever reads it, and stays unset in the document:
/// Knative's defaulting leaves it alone, so the hash has to as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HttpOption(pub String);

impl HttpOption {
    /// `Enabled`: plain HTTP is served.
    pub const ENABLED: &str = "Enabled";
    /// `Redirected`: plain HTTP from outside answers 301.
    pub const REDIRECTED: &str = "Redirected";

    /// Whether plain HTTP is to be redirected; not so where unset.
    #[must_use]
    pub fn redirects(&self) -> bool {
        self.0 == Self::REDIRECTED
    }

    /// Whether the document leaves it out.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.0.is_empty()
    }
}

/// `spec.tls[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Hosts that the certificate is for.
    #[serde(deserialize_with = "null::list", skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Name of the Secret.
    #[serde(
        deserialize_with = "null::value",
        skip_serializing_if = "String::is_empty"
    )]
    pub secret_name: String,
    /// Namespace of the Secret; has to be the Ingress's own.
    #[serde(
        deserialize_with = "null::value",
        skip_serializing_if = "String::is_empty"
    )]
    pub secret_namespace: String,
}

/// `spec.rules[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    /// Exact host names.
    #[serde(deserialize_with = "null::list", skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Who may reach them.
    #[serde(
        deserialize_with = "null::value",
        skip_serializing_if = "Visibility::is_unset"
    )]
    pub visibility: Visibility,
    /// The paths; a rule without is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
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

    /// Whether the document leaves it out; defaulting sets [`Visibility::EXTERNAL_IP`].
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.0.is_empty()
    }
}

/// `spec.rules[].http`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpIngressRuleValue {
    /// Alternatives by path prefix and headers.
    pub paths: List<HttpIngressPath>,
}

/// `spec.rules[].http.paths[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpIngressPath {
    /// Literal prefix; empty for all.
    #[serde(
        deserialize_with = "null::value",
        skip_serializing_if = "String::is_empty"
    )]
    pub path: String,
    /// Host towards the backend.
    #[serde(
        deserialize_with = "null::value",
        skip_serializing_if = "String::is_empty"
    )]
    pub rewrite_host: String,
    /// Headers that must match, all of them.
    #[serde(
        deserialize_with = "null::map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub headers: BTreeMap<String, HeaderMatch>,
    /// Shares of the traffic.
    pub splits: List<IngressBackendSplit>,
    /// Request headers set before the split.
    #[serde(
        deserialize_with = "null::map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub append_headers: BTreeMap<String, String>,
}

/// `spec.rules[].http.paths[].headers.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderMatch {
    /// The whole value.
    #[serde(deserialize_with = "null::value")]
    pub exact: String,
}

/// `spec.rules[].http.paths[].splits[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackendSplit {
    /// Has to be the Ingress's own namespace.
    #[serde(deserialize_with = "null::value")]
    pub service_namespace: String,
    /// The Service.
    #[serde(deserialize_with = "null::value")]
    pub service_name: String,
    /// Its port, by number or name.
    pub service_port: IntOrString,
    /// Share in percent; 0 for the only split of a path means 100.
    #[serde(deserialize_with = "null::value", skip_serializing_if = "is_zero")]
    pub percent: i64,
    /// Request headers set for this share.
    #[serde(
        deserialize_with = "null::map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub append_headers: BTreeMap<String, String>,
}
