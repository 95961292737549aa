//! What translation is told, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sluice_crds as crds;
use sluice_ir::{Host, ObjectKey, Plan, RefusedPlan, Side, Verdict};

/// What holds for the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster's DNS suffix without dots at its ends, such as `cluster.local`.
    pub cluster_suffix: String,
    /// Names of Sluice's own private gateway Service, long and short. A rewrite
    /// whose backend is an ExternalName of one of these is done in one hop.
    pub private_gateways: BTreeSet<Host>,
    /// Whether backends may be on loopback; true in `sluice dev` only.
    pub allow_loopback: bool,
    /// What protects the connections to backends.
    pub backends: Backends,
}

/// How backends are spoken to, cluster-wide: `system-internal-tls` of Serving's
/// ConfigMap `config-network`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backends {
    /// In plain text.
    #[default]
    Plain,
    /// By TLS, and gateways know whom to trust.
    Tls,
    /// By TLS, but there is no root to trust yet: better no answer than one from
    /// whoever has the address.
    Untrusted,
}

/// What the world says of a host that this Ingress claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It is this Ingress's.
    Owned,
    /// Another Ingress came first.
    Conflict {
        /// That Ingress.
        owner: ObjectKey,
    },
    /// It is a cluster-local name of another namespace.
    Foreign {
        /// The only namespace that may have it.
        namespace: String,
    },
}

/// The rule that a `rewriteHost` leads to on the internal side.
#[derive(Clone, Debug)]
pub enum Target<'a> {
    /// No Ingress owns the host.
    Absent,
    /// An Ingress of another namespace owns it.
    Foreign {
        /// That Ingress.
        owner: ObjectKey,
    },
    /// A rule of an Ingress of the same namespace serves it.
    Rule {
        /// That Ingress, as stored.
        ingress: &'a crds::Ingress,
        /// Index into its `spec.rules`.
        rule: usize,
    },
}

/// All that the plan of one Ingress depends on.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The Ingress as stored, not defaulted.
    pub ingress: &'a crds::Ingress,
    /// What holds for the whole cluster.
    pub config: &'a Config,
    /// Judges certificates, and nothing else.
    pub now: Timestamp,
    /// Services by name, in the Ingress's namespace: those that exist of
    /// [`crate::References::services`], and of the targets' own.
    pub services: BTreeMap<&'a str, &'a crds::Service>,
    /// Secrets by name, in the Ingress's namespace: those that exist of
    /// [`crate::References::secrets`].
    pub secrets: BTreeMap<&'a str, &'a crds::Secret>,
    /// What became of each of [`crate::References::claims`]; a claim that is
    /// missing here counts as owned.
    pub owners: BTreeMap<(Side, Host), Ownership>,
    /// Where each of [`crate::References::rewrites`] leads; missing counts as absent.
    pub targets: BTreeMap<Host, Target<'a>>,
}

/// What becomes of one Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Translated {
    /// It is served, whole or in part.
    Plan(Plan),
    /// This generation is not served at all.
    Refused(RefusedPlan),
}

/// A plan and the verdict on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// What to serve.
    pub translated: Translated,
    /// What of the Ingress is not served, and why.
    pub verdict: Verdict,
}
