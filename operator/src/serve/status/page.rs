//! The pages, as they serialise: a form of their own, so that what is asked for by
//! programs does not change whenever a plan does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use sluice_controller::{IngressView, Planned, QuorumView, WaitsFor};
use sluice_envoy::Kind;
use sluice_ir::{
    Action, Backend, Discovery, Headers, Outcome, Plan, Protocol, Rejection, Route, ServicePort,
    Side,
};
use sluice_xds::{Fleet, Node, Revision, Traffic};

/// This replica.
#[derive(Debug, Serialize)]
pub(super) struct Operator {
    pub(super) name: String,
    pub(super) version: &'static str,
    /// Whether it writes statuses, and probes.
    pub(super) leads: bool,
    pub(super) revision: u64,
    /// What it waits for before gateways are answered.
    pub(super) missing: Vec<String>,
    /// Watches that fail just now.
    pub(super) complaints: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Gateways {
    revision: u64,
    gateways: Vec<Gateway>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gateway {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The version of its Envoy.
    #[serde(skip_serializing_if = "Option::is_none")]
    envoy: Option<String>,
    state: GatewayState,
    /// As Kubernetes has it.
    ready: bool,
    terminating: bool,
    /// Whether Ingresses wait for it.
    required: bool,
    /// Whether it holds the readiness route.
    serving: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    acked_revision: Option<u64>,
    types: BTreeMap<String, Type>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum GatewayState {
    /// It holds all that it should.
    Synced,
    /// It is yet to be sent something, or to acknowledge it.
    Stale,
    /// It refused something, which is not sent any more.
    Nack,
    /// It has no stream to this replica.
    Disconnected,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Type {
    state: GatewayState,
    held: usize,
    due: usize,
    /// What of this type it was the first to refuse.
    refused: usize,
    acks: u64,
    nacks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ack: Option<Timestamp>,
}

impl Gateways {
    pub(super) fn of(
        revision: Revision,
        quorum: &BTreeMap<String, QuorumView>,
        fleet: &Fleet,
        since: impl Fn(Instant) -> Option<Timestamp>,
    ) -> Self {
        // The newest stream of a gateway speaks for it.
        let nodes = fleet.nodes.values().filter(|node| !node.id.is_empty());
        let nodes: BTreeMap<&str, &Node> = nodes.map(|node| (node.id.as_str(), node)).collect();
        let known = quorum.keys().map(String::as_str);
        let names: BTreeSet<&str> = known.chain(nodes.keys().copied()).collect();
        let gateways = names.into_iter().map(|name| {
            let refused = |kind| {
                let by_it = |q: &&sluice_xds::Quarantined| q.node == name && q.kind == kind;
                fleet.quarantined.iter().filter(by_it).count()
            };
            let view = quorum.get(name).cloned().unwrap_or_default();
            gateway(name, &view, nodes.get(name).copied(), refused, &since)
        });
        Self {
            revision: revision.0,
            gateways: gateways.collect(),
        }
    }
}

fn gateway(
    name: &str,
    view: &QuorumView,
    node: Option<&Node>,
    refused: impl Fn(Kind) -> usize,
    since: &impl Fn(Instant) -> Option<Timestamp>,
) -> Gateway {
    let kinds = node.map(|node| node.kinds.iter()).into_iter().flatten();
    let types: BTreeMap<String, Type> = kinds
        .map(|(kind, traffic)| (kind.to_string(), Type::of(traffic, refused(*kind), since)))
        .collect();
    let worst = types.values().map(|of_type| of_type.state).max();
    Gateway {
        name: name.to_owned(),
        address: view.address.map(|address| address.to_string()),
        envoy: node.and_then(|node| node.envoy.clone()),
        state: match node {
            None => GatewayState::Disconnected,
            // Before it asked for anything it holds nothing that is known.
            Some(_) => worst.unwrap_or(GatewayState::Stale),
        },
        ready: view.ready,
        terminating: view.terminating,
        required: view.required,
        serving: node.is_some_and(|node| node.serving),
        acked_revision: node.and_then(|node| node.acked).map(|acked| acked.0),
        types,
    }
}

impl Type {
    fn of(
        traffic: &Traffic,
        refused: usize,
        since: &impl Fn(Instant) -> Option<Timestamp>,
    ) -> Self {
        Self {
            state: match (refused, traffic.due) {
                (0, 0) => GatewayState::Synced,
                (0, _) => GatewayState::Stale,
                _ => GatewayState::Nack,
            },
            held: traffic.held,
            due: traffic.due,
            refused,
            acks: traffic.acks,
            nacks: traffic.nacks,
            last_ack: traffic.last_ack.and_then(since),
        }
    }
}

/// What is not sent any more since a gateway refused it.
#[derive(Debug, Serialize)]
pub(super) struct Refusals {
    refusals: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    version: String,
    gateway: String,
    /// Its Ingress; absent for what several share.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingress: Option<String>,
    detail: String,
}

impl Refusals {
    pub(super) fn of(fleet: &Fleet) -> Self {
        let refusals = fleet.quarantined.iter().map(|refused| Refusal {
            kind: refused.kind.to_string(),
            name: refused.name.clone(),
            version: refused.version.clone(),
            gateway: refused.node.clone(),
            ingress: super::super::fleet::owner(refused).map(|owner| owner.to_string()),
            detail: refused.detail.clone(),
        });
        Self {
            refusals: refusals.collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Ingresses {
    ingresses: Vec<Ingress>,
}

impl Ingresses {
    pub(super) fn of(views: Vec<IngressView>) -> Self {
        Self {
            ingresses: views.into_iter().map(Ingress::of).collect(),
        }
    }
}

/// How far an Ingress is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ingress {
    namespace: String,
    name: String,
    generation: i64,
    revision: u64,
    /// `Ready`, `Waiting`, `NoGateway`, `Partial`, `Refused`, `GatewayRefused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rejections: Vec<Rejection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<Awaited>,
}

/// What an Ingress waits for.
#[derive(Debug, Serialize)]
#[serde(tag = "kind")]
enum Awaited {
    Translation,
    Gateway,
    Revision {
        revision: u64,
        gateways: Vec<String>,
    },
    Probe {
        #[serde(skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
}

impl Ingress {
    fn of(view: IngressView) -> Self {
        let (outcome, rejections) = match view.verdict {
            Some(verdict) => (Some(verdict.outcome), verdict.rejections),
            None => (None, Vec::new()),
        };
        Self {
            namespace: view.ingress.namespace,
            name: view.ingress.name,
            generation: view.generation,
            revision: view.revision,
            state: view.state.map(|state| format!("{state:?}")),
            hash: view.hash,
            outcome,
            rejections,
            waits_for: view.waits_for.map(|waits_for| match waits_for {
                WaitsFor::Translation => Awaited::Translation,
                WaitsFor::Gateway => Awaited::Gateway,
                WaitsFor::Revision { revision, gateways } => {
                    Awaited::Revision { revision, gateways }
                }
                WaitsFor::Probe { found } => Awaited::Probe { found },
            }),
        }
    }
}

/// One Ingress, and what gateways serve for it.
#[derive(Debug, Serialize)]
pub(super) struct PlanPage {
    ingress: Ingress,
    /// In the order of the rules; what no plan was ever made for has none.
    rules: Vec<Rule>,
    clusters: BTreeMap<String, Cluster>,
    certificates: Vec<Certificate>,
}

#[derive(Debug, Serialize)]
struct Rule {
    /// `external` or `internal`.
    side: String,
    field: String,
    hosts: Vec<String>,
    /// Whether plain HTTP is sent to https.
    redirect: bool,
    /// In matching order: the first match wins.
    routes: Vec<RouteView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteView {
    field: String,
    prefix: String,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers,
    /// Whether it answers on plain HTTP though the rule redirects.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    keeps_http: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_rewrite: Option<String>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    set_headers: Headers,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    splits: Vec<SplitView>,
    /// The gateway answers by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    responds: Option<Responds>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SplitView {
    percent: u8,
    /// A cluster below; absent where this share is 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<String>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    set_headers: Headers,
}

#[derive(Debug, Serialize)]
struct Responds {
    status: u16,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Cluster {
    protocol: Protocol,
    /// The name that is resolved, for a Service of type ExternalName.
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<String>,
    addresses: Vec<String>,
}

/// A certificate by its Secret: neither chain nor key.
#[derive(Debug, Serialize)]
struct Certificate {
    side: String,
    host: String,
    secret: String,
}

impl PlanPage {
    pub(super) fn of(view: IngressView, planned: Option<&Planned>) -> Self {
        let ingress = Ingress::of(view);
        let Some(planned) = planned else {
            return Self {
                ingress,
                rules: Vec::new(),
                clusters: BTreeMap::new(),
                certificates: Vec::new(),
            };
        };
        Self {
            ingress,
            rules: rules(&planned.plan),
            clusters: clusters(planned),
            certificates: certificates(&planned.plan),
        }
    }
}

fn rules(plan: &Plan) -> Vec<Rule> {
    let sides = plan.sides.iter();
    sides
        .flat_map(|(side, hosts)| hosts.iter().map(move |host| (side, host)))
        .map(|(side, host)| {
            let field = format!("spec.rules[{}]", host.rule);
            Rule {
                side: side.to_string(),
                hosts: host.hosts.iter().map(ToString::to_string).collect(),
                redirect: host.redirect,
                routes: host
                    .routes
                    .iter()
                    .map(|route| view(&field, route))
                    .collect(),
                field,
            }
        })
        .collect()
}

fn view(rule: &str, route: &Route) -> RouteView {
    let mut view = RouteView {
        field: format!("{rule}.http.paths[{}]", route.path),
        prefix: route.prefix.clone(),
        headers: route.headers.clone(),
        keeps_http: route.keeps_http,
        host_rewrite: None,
        set_headers: Headers::new(),
        splits: Vec::new(),
        responds: None,
    };
    match &route.action {
        Action::Forward {
            host_rewrite,
            set_headers,
            splits,
        } => {
            view.host_rewrite.clone_from(host_rewrite);
            view.set_headers.clone_from(set_headers);
            view.splits = splits
                .iter()
                .map(|split| {
                    let (cluster, unavailable) = match &split.backend {
                        Backend::Cluster(port) => (Some(port.to_string()), None),
                        Backend::Unavailable(why) => (None, Some(why.clone())),
                    };
                    SplitView {
                        percent: split.percent,
                        cluster,
                        unavailable,
                        set_headers: split.set_headers.clone(),
                    }
                })
                .collect();
        }
        Action::Respond { status, reason } => {
            view.responds = Some(Responds {
                status: *status,
                reason: reason.clone(),
            });
        }
    }
    view
}

fn clusters(planned: &Planned) -> BTreeMap<String, Cluster> {
    let addresses = |port: &ServicePort| {
        let endpoints = planned.endpoints.get(port);
        let addresses = endpoints.map(|endpoints| endpoints.addresses.iter());
        addresses
            .into_iter()
            .flatten()
            .map(|address| std::net::SocketAddr::from(*address).to_string())
            .collect()
    };
    let clusters = planned.plan.clusters.iter();
    clusters
        .map(|(port, cluster)| {
            let dns = match &cluster.discovery {
                Discovery::Endpoints => None,
                Discovery::Dns { name, port } => Some(format!("{name}:{port}")),
            };
            let cluster = Cluster {
                protocol: cluster.protocol,
                dns,
                addresses: addresses(port),
            };
            (port.to_string(), cluster)
        })
        .collect()
}

fn certificates(plan: &Plan) -> Vec<Certificate> {
    let all = |(side, by_host): (&Side, &BTreeMap<sluice_ir::Host, sluice_ir::Certificate>)| {
        let side = side.to_string();
        let of_side = by_host.iter().map(move |(host, certificate)| Certificate {
            side: side.clone(),
            host: host.to_string(),
            secret: certificate.secret.to_string(),
        });
        of_side.collect::<Vec<_>>()
    };
    plan.certificates.iter().flat_map(all).collect()
}
