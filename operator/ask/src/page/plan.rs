//! `/status/v1/plan`: what gateways serve for one Ingress.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Ingress;

/// Header names, lower case, and values.
pub type Headers = BTreeMap<String, String>;

/// One Ingress, and what gateways serve for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How far it is.
    pub ingress: Ingress,
    /// In the order of the rules; what no plan was ever made for has none.
    pub rules: Vec<Rule>,
    /// Where its Service ports answer, by `namespace/service/port`.
    pub clusters: BTreeMap<String, Cluster>,
    /// What is shown to clients.
    pub certificates: Vec<Certificate>,
}

/// The hosts of one rule on one side, and what they serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `external` or `internal`.
    pub side: String,
    /// `spec.rules[…]`.
    pub field: String,
    /// Those that this Ingress owns.
    pub hosts: Vec<String>,
    /// Whether plain HTTP is sent to https.
    pub redirect: bool,
    /// In matching order: the first match wins.
    pub routes: Vec<Route>,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// `spec.rules[…].http.paths[…]`.
    pub field: String,
    /// Literal.
    pub prefix: String,
    /// All must be there, with exactly these values.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// Whether it answers on plain HTTP though the rule redirects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_http: bool,
    /// The Host that the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_rewrite: Option<String>,
    /// Set before a split is chosen.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub set_headers: Headers,
    /// Chosen per request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub splits: Vec<Split>,
    /// The gateway answers by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responds: Option<Responds>,
}

/// A share of a route's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// 1 to 100.
    pub percent: u8,
    /// A key of [`Plan::clusters`]; absent where this share is 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Why this share is 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// Set for this share.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub set_headers: Headers,
}

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Responds {
    /// Of HTTP.
    pub status: u16,
    /// One line.
    pub reason: String,
}

/// Where one Service port answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// `http1` or `http2`.
    pub protocol: String,
    /// The name that is resolved, for a Service of type ExternalName.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<String>,
    /// Those that are ready.
    pub addresses: Vec<String>,
}

/// A certificate by its Secret: neither chain nor key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// `external` or `internal`.
    pub side: String,
    /// Whom it is shown for.
    pub host: String,
    /// Namespace and name.
    pub secret: String,
}
