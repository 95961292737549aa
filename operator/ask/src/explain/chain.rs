//! The chain: from the object to the gateways, one line each.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CLASS_KEY, Gathered, Step, SubjectKind};
use crate::object::Object;
use crate::page::{Gateway, GatewayState, Route, Rule};

/// Hosts of one rule beyond these are counted.
const HOSTS: usize = 3;

struct Chain(Vec<Step>);

impl Chain {
    fn add(&mut self, depth: usize, text: String) {
        self.0.push(Step { depth, text });
    }
}

pub(super) fn steps(gathered: &Gathered) -> Vec<Step> {
    let mut chain = Chain(Vec::new());
    let subject = &gathered.subject;
    match &gathered.ksvc {
        Some(ksvc) => {
            chain.add(0, format!("ksvc {}: {}", ksvc.key(), ksvc.word()));
            of_revisions(gathered, &mut chain);
        }
        None if subject.kind == SubjectKind::Ksvc => chain.add(0, format!("{subject}: not there")),
        None => {}
    }
    if let Some(route) = &gathered.route {
        let url = route.text("/status/url");
        let url = if url.is_empty() { "no URL yet" } else { url };
        chain.add(
            1,
            format!("route {}: {}, {url}", route.name(), route.word()),
        );
        for target in route.list("/status/traffic") {
            chain.add(2, traffic(target));
        }
    }
    match &gathered.ingress {
        Some(ingress) => of_ingress(gathered, ingress, &mut chain),
        None if subject.kind == SubjectKind::Ingress => {
            chain.add(0, format!("{subject}: not there"));
        }
        None => chain.add(1, "ingress: not there".to_owned()),
    }
    chain.0
}

fn of_revisions(gathered: &Gathered, chain: &mut Chain) {
    if let Some(configuration) = &gathered.configuration {
        let name = configuration.name();
        chain.add(1, format!("configuration {name}: {}", configuration.word()));
    }
    for revision in &gathered.revisions {
        let replicas = revision
            .number("/status/actualReplicas")
            .unwrap_or_default();
        let active = revision.condition("Active");
        let pods = match (replicas, active) {
            (0, Some(active)) if active.status == "False" => {
                "no pod: scaled to zero, starts with the first request".to_owned()
            }
            (0, _) => "no pod yet".to_owned(),
            (1, _) => "1 pod".to_owned(),
            (pods, _) => format!("{pods} pods"),
        };
        let name = revision.name();
        chain.add(2, format!("revision {name}: {}, {pods}", revision.word()));
    }
}

/// One target of a Route.
fn traffic(target: &Value) -> String {
    let revision = target["revisionName"].as_str().unwrap_or("no revision yet");
    let percent = target["percent"].as_i64().unwrap_or_default();
    let tag = match target["tag"].as_str() {
        Some(tag) => format!(
            ", tag {tag} at {}",
            target["url"].as_str().unwrap_or("no URL yet")
        ),
        None => String::new(),
    };
    format!("{percent}% {revision}{tag}")
}

fn of_ingress(gathered: &Gathered, ingress: &Object, chain: &mut Chain) {
    let class = ingress.annotation(CLASS_KEY).unwrap_or("no class");
    let depth = usize::from(gathered.route.is_some());
    let generation = ingress.number("/metadata/generation").unwrap_or_default();
    chain.add(
        depth,
        format!(
            "ingress {}: {}, generation {generation}, class {class}",
            ingress.key(),
            ingress.word()
        ),
    );
    let Some(plan) = &gathered.plan else {
        of_spec(ingress, depth + 1, chain);
        return;
    };
    for rule in &plan.rules {
        of_rule(rule, plan.rules.as_slice(), depth + 1, chain);
    }
    for (name, cluster) in &plan.clusters {
        let mut parts = name.split('/');
        let service = parts.nth(1).unwrap_or(name);
        let who = match &cluster.dns {
            Some(dns) => format!("the name {dns}"),
            None => behind(gathered, service, &cluster.addresses),
        };
        chain.add(
            depth + 1,
            format!("service {name} ({}): {who}", cluster.protocol),
        );
    }
    for certificate in &plan.certificates {
        if certificate.side == "external" {
            let (host, secret) = (&certificate.host, &certificate.secret);
            chain.add(depth + 1, format!("certificate of {host}: secret {secret}"));
        }
    }
    of_gateways(gathered, plan.ingress.revision, depth + 1, chain);
}

/// Without a plan: what the Ingress itself asks for.
fn of_spec(ingress: &Object, depth: usize, chain: &mut Chain) {
    for (at, rule) in ingress.list("/spec/rules").iter().enumerate() {
        let visibility = rule["visibility"].as_str().unwrap_or("ExternalIP");
        let hosts: Vec<&str> = rule["hosts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let hosts = shortened(&hosts);
        chain.add(
            depth,
            format!("{hosts} ({visibility}, spec.rules[{at}]), as asked for"),
        );
    }
}

/// A rule once: what is served inside as it is outside is not told twice.
fn of_rule(rule: &Rule, rules: &[Rule], depth: usize, chain: &mut Chain) {
    let twin = |other: &&Rule| other.field == rule.field && other.side != rule.side;
    let twin = rules.iter().find(twin);
    let same = twin.is_some_and(|twin| twin.hosts == rule.hosts && twin.routes == rule.routes);
    if same && rule.side == "internal" {
        return;
    }
    let sides = match (same, rule.side.as_str()) {
        (true, _) => "outside and inside",
        (false, "external") => "outside",
        (false, _) => "inside",
    };
    let redirect = if rule.redirect {
        ", plain HTTP is sent to https"
    } else {
        ""
    };
    let hosts: Vec<&str> = rule.hosts.iter().map(String::as_str).collect();
    let hosts = shortened(&hosts);
    chain.add(
        depth,
        format!("{hosts} ({sides}, {}{redirect})", rule.field),
    );
    for route in &rule.routes {
        chain.add(depth + 1, of_route(route));
    }
}

fn of_route(route: &Route) -> String {
    let headers: Vec<String> = route
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let headers = if headers.is_empty() {
        String::new()
    } else {
        format!(" [{}]", headers.join(", "))
    };
    let goes = match &route.responds {
        Some(responds) => format!("{} {}", responds.status, responds.reason),
        None => {
            let shares = route.splits.iter().map(|split| {
                let percent = split.percent;
                match (&split.cluster, &split.unavailable) {
                    (Some(cluster), _) => format!("{percent}% {cluster}"),
                    (None, Some(why)) => format!("{percent}% 503 ({why})"),
                    (None, None) => format!("{percent}% 503"),
                }
            });
            shares.collect::<Vec<_>>().join(", ")
        }
    };
    format!("{}{headers} -> {goes}", route.prefix)
}

/// Who answers behind a Service: activators, or pods of its own.
fn behind(gathered: &Gathered, service: &str, addresses: &[String]) -> String {
    if addresses.is_empty() {
        return "nobody: 503".to_owned();
    }
    let mut pods = BTreeSet::new();
    let mut activators = BTreeSet::new();
    for slice in &gathered.slices {
        if slice.label("kubernetes.io/service-name") != Some(service) {
            continue;
        }
        for endpoint in slice.list("/endpoints") {
            let target = &endpoint["targetRef"];
            let (Some(name), namespace) = (target["name"].as_str(), target["namespace"].as_str())
            else {
                continue;
            };
            let elsewhere = namespace.is_some_and(|namespace| namespace != slice.namespace());
            if elsewhere && name.starts_with("activator-") {
                activators.insert(name);
            } else {
                pods.insert(name);
            }
        }
    }
    let mut who = Vec::new();
    if !activators.is_empty() {
        who.push(format!(
            "{}, which hold requests until a pod is there",
            named("activator", &activators)
        ));
    }
    if !pods.is_empty() {
        who.push(named("pod", &pods));
    }
    let addresses = addresses.join(" ");
    if who.is_empty() {
        addresses
    } else {
        format!("{addresses}: {}", who.join(" and "))
    }
}

fn named(kind: &str, names: &BTreeSet<&str>) -> String {
    match names.len() {
        1 => format!("1 {kind}"),
        many => format!("{many} {kind}s"),
    }
}

fn of_gateways(gathered: &Gathered, revision: u64, depth: usize, chain: &mut Chain) {
    let Some(gateways) = &gathered.gateways else {
        return;
    };
    let holds = |one: &Gateway| one.acked_revision.is_some_and(|acked| acked >= revision);
    // One that is about to end is not waited for.
    let staying = || gateways.gateways.iter().filter(|one| !one.terminating);
    let (holding, all) = (
        staying().filter(|one| holds(one)).count(),
        staying().count(),
    );
    chain.add(
        depth,
        format!("gateways: {holding} of {all} have acknowledged its revision {revision}"),
    );
    for gateway in staying() {
        let astray = [GatewayState::Nack, GatewayState::Disconnected].contains(&gateway.state);
        if astray || !holds(gateway) {
            let acked = match gateway.acked_revision {
                Some(acked) => format!("revision {acked}"),
                None => "nothing yet".to_owned(),
            };
            let state = format!("{:?}", gateway.state).to_uppercase();
            chain.add(
                depth + 1,
                format!("{}: {state}, acknowledged {acked}", gateway.name),
            );
        }
    }
}

fn shortened(hosts: &[&str]) -> String {
    let shown: Vec<&str> = hosts.iter().take(HOSTS).copied().collect();
    let more = hosts.len().saturating_sub(HOSTS);
    match (hosts.is_empty(), more) {
        (true, _) => "no host".to_owned(),
        (false, 0) => shown.join(" "),
        (false, more) => format!("{} and {more} more", shown.join(" ")),
    }
}
