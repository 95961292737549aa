//! The operator's pages as they are read: in a form of their own, which takes a
//! page of a newer operator too, with what it does not know left out.

mod plan;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use plan::{Certificate, Cluster, Headers, Plan, Responds, Route, Rule, Split};

/// `/status/v1/operator`: the replica that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its pod's name, an underscore, its process.
    pub name: String,
    /// Of its build.
    pub version: String,
    /// Whether it writes statuses, and gateways follow it.
    pub leads: bool,
    /// The newest that it published.
    pub revision: u64,
    /// What it waits for before gateways are answered.
    pub missing: Vec<String>,
    /// Watches that fail just now.
    pub complaints: Vec<String>,
}

/// `/status/v1/gateways`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateways {
    /// The newest that was published.
    pub revision: u64,
    /// Each one that Kubernetes has, or that has a stream.
    pub gateways: Vec<Gateway>,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Namespace and name of its pod.
    pub name: String,
    /// Of its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The version of its Envoy, as that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy: Option<String>,
    /// The worst of its types.
    pub state: GatewayState,
    /// As Kubernetes has it.
    pub ready: bool,
    /// Whether its pod is about to end.
    pub terminating: bool,
    /// Whether Ingresses wait for it.
    pub required: bool,
    /// Whether it holds the route that makes it ready.
    pub serving: bool,
    /// The newest revision that it acknowledged whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked_revision: Option<u64>,
    /// By xDS type: CDS, EDS, LDS, RDS, SDS, SRDS.
    pub types: BTreeMap<String, Type>,
}

/// How far a gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GatewayState {
    /// It holds all that it should.
    Synced,
    /// It is yet to be sent something, or to acknowledge it.
    Stale,
    /// It refused something, which is not sent any more.
    Nack,
    /// It has no stream to the replica that was asked.
    Disconnected,
    /// A word of a newer operator.
    #[serde(other)]
    Unknown,
}

/// What a gateway holds of one xDS type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Type {
    /// How far it is.
    pub state: GatewayState,
    /// Resources that it acknowledged.
    pub held: usize,
    /// Resources that it is yet to be sent, or to acknowledge.
    pub due: usize,
    /// Resources that it was the first to refuse.
    pub refused: usize,
    /// Answers that it took.
    pub acks: u64,
    /// Answers that it refused.
    pub nacks: u64,
    /// When it last took one, as RFC 3339 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ack: Option<String>,
}

/// `/status/v1/refusals`: what is not sent any more since a gateway refused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// Each by itself.
    pub refusals: Vec<Refusal>,
}

/// One resource that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its xDS type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The version that was refused.
    pub version: String,
    /// Who refused it first.
    pub gateway: String,
    /// Its Ingress; absent for what several share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// What Envoy said.
    pub detail: String,
}

/// `/status/v1/ingresses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingresses {
    /// Each of Sluice's class.
    pub ingresses: Vec<Ingress>,
}

/// How far an Ingress is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The newest that was judged.
    pub generation: i64,
    /// Since which its plan stands.
    pub revision: u64,
    /// `Ready`, `Waiting`, `NoGateway`, `Partial`, `Refused`, `GatewayRefused`;
    /// absent before that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `K-Network-Hash` of what is served for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// `Accepted`, `Partial` or `Refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What of it cannot be served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<Rejection>,
    /// What is missing before it is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Awaited>,
}

/// One thing that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// One word.
    pub reason: String,
    /// Path of the field.
    pub field: String,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: String,
    /// What to do.
    pub fix: String,
}

/// What an Ingress waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Awaited {
    /// Its newest generation is not judged yet.
    Translation,
    /// There is no gateway.
    Gateway,
    /// These gateways are yet to apply the revision.
    Revision {
        /// Since which its plan stands.
        revision: u64,
        /// Who has not applied it.
        gateways: Vec<String>,
    },
    /// The replica that leads is to find it served by every gateway.
    Probe {
        /// What the last round found instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
    /// A word of a newer operator.
    #[serde(other)]
    Unknown,
}

impl Ingress {
    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Its state, also where nothing is known yet.
    #[must_use]
    pub fn state(&self) -> &str {
        self.state.as_deref().unwrap_or("Unjudged")
    }

    /// Whether all of it is served by every gateway.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.as_deref() == Some("Ready")
    }
}

impl Awaited {
    /// What is waited for, in words.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Translation => "the operator is yet to judge its newest generation".to_owned(),
            Self::Gateway => "there is no gateway".to_owned(),
            Self::Revision { revision, gateways } => format!(
                "revision {revision} is yet to be acknowledged by {}",
                gateways.join(", ")
            ),
            Self::Probe { found: None } => "every gateway is yet to be probed".to_owned(),
            Self::Probe { found: Some(found) } => {
                format!("every gateway is yet to be probed; the last round found {found}")
            }
            Self::Unknown => "something this build has no word for".to_owned(),
        }
    }
}

impl Rejection {
    /// One line: where, why, and what to do.
    #[must_use]
    pub fn told(&self) -> String {
        format!(
            "{}: {}: found {}, expected {}; {}",
            self.reason, self.field, self.found, self.expected, self.fix
        )
    }
}
