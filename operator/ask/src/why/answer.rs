//! What a gateway does with the request, step by step, by its live plan.

use serde::Serialize;
use serde_json::Value;

use super::Known;
use super::request::{Request, folded};
use crate::explain::{CLASS, CLASS_KEY};
use crate::object::Object;
use crate::page::{Headers, Plan, Route, Rule, Split};

/// Names that are told where a host is not served.
const NEAREST: usize = 3;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The request.
    pub request: String,
    /// Its way, in order.
    pub way: Vec<Way>,
    /// What comes back.
    pub outcome: Outcome,
}

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// One word.
    pub step: &'static str,
    /// What is there.
    pub what: String,
    /// The object and field that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Whether a backend answers, all of the time, or the gateway sends elsewhere on
    /// purpose.
    pub served: bool,
    /// Absent where a backend answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The word that the header `x-sluice-reason` begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In words.
    pub what: String,
    /// The shares of a backend's answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// What might have been meant, or should be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// One share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Of a hundred requests.
    pub percent: u8,
    /// Namespace, Service, port; absent where the share is 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Who answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

impl Outcome {
    fn own(status: u16, reason: &str, what: String) -> Self {
        Self {
            served: status < 400,
            status: Some(status),
            reason: Some(reason.to_owned()),
            what,
            shares: Vec::new(),
            hints: Vec::new(),
        }
    }
}

/// Whether an Ingress is of Sluice's class.
pub(super) fn is_ours(ingress: &Object) -> bool {
    ingress.annotation(CLASS_KEY) == Some(CLASS)
}

/// Where an Ingress names a host: indices of its rule and of the host in there.
pub(super) fn place(ingress: &Object, host: &str) -> Option<(usize, usize)> {
    let rules = ingress.list("/spec/rules").iter().enumerate();
    rules.into_iter().find_map(|(rule, value)| {
        let mut hosts = value["hosts"].as_array().into_iter().flatten();
        let at = hosts.position(|one| one.as_str().is_some_and(|one| folded(one) == host))?;
        Some((rule, at))
    })
}

impl Answer {
    /// What a gateway that holds all of its configuration does with the request.
    #[must_use]
    pub fn of(request: &Request, known: &Known) -> Self {
        let mut way = vec![listener(request)];
        let outcome = outcome(request, known, &mut way);
        Self {
            request: request.to_string(),
            way,
            outcome,
        }
    }
}

fn listener(request: &Request) -> Way {
    let (service, internal) = match request.side() {
        "external" => (
            "sluice",
            ["external-http on 8080", "external-https on 8443"],
        ),
        _ => (
            "sluice-internal",
            ["internal-http on 8081", "internal-https on 8444"],
        ),
    };
    let (port, listener) = if request.https {
        (443, internal[1])
    } else {
        (80, internal[0])
    };
    Way {
        step: "listener",
        what: listener.to_owned(),
        cause: Some(format!("service {service}, port {port}")),
    }
}

fn outcome(request: &Request, known: &Known, way: &mut Vec<Way>) -> Outcome {
    if request.https
        && let Some(refused) = certificate(request, known, way)
    {
        return refused;
    }
    let side = request.side();
    let Some((plan, rule)) = owner(known, side, &request.host) else {
        return nobody(request, known);
    };
    let object = known
        .ingresses
        .iter()
        .find(|one| one.key() == plan.ingress.key());
    let ingress = format!("ingress {}", plan.ingress.key());
    way.push(scope(request, plan, rule, object));
    let held =
        (!plan.ingress.rejections.is_empty() || plan.ingress.waits_for.is_some()).then(|| {
            format!(
                "{ingress} is {}: sluice explain -n {} ingress/{}",
                plan.ingress.state(),
                plan.ingress.namespace,
                plan.ingress.name
            )
        });
    let mut outcome = routed(request, plan, rule, object, way);
    outcome.hints.extend(held);
    outcome
}

/// The plan and the rule that own a host on a side.
fn owner<'a>(known: &'a Known, side: &str, host: &str) -> Option<(&'a Plan, &'a Rule)> {
    let owns = |rule: &&Rule| rule.side == side && rule.hosts.iter().any(|one| one == host);
    known
        .plans
        .iter()
        .find_map(|plan| Some((plan, plan.rules.iter().find(owns)?)))
}

/// The certificate that is shown; an outcome where there is none.
fn certificate(request: &Request, known: &Known, way: &mut Vec<Way>) -> Option<Outcome> {
    let name = &request.server_name;
    let shown = known.plans.iter().find_map(|plan| {
        // A certificate is shown by name, on whichever side it is asked for.
        let of_name = plan.certificates.iter().filter(|one| one.host == *name);
        let secret = of_name.map(|one| one.secret.clone()).next()?;
        Some((plan.ingress.key(), secret))
    });
    match shown {
        Some((ingress, secret)) => {
            way.push(Way {
                step: "tls",
                what: format!("the certificate of {name}, from secret {secret}"),
                cause: Some(format!("ingress {ingress} spec.tls")),
            });
            None
        }
        None => Some(Outcome {
            served: false,
            status: None,
            reason: None,
            what: format!("no handshake: no Ingress has a certificate for {name}"),
            shares: Vec::new(),
            hints: vec!["plain HTTP may be served: ask for the http:// URL".to_owned()],
        }),
    }
}

fn scope(request: &Request, plan: &Plan, rule: &Rule, object: Option<&Object>) -> Way {
    let prefix = if rule.side == "external" {
        "ext"
    } else {
        "int"
    };
    let host = &request.host;
    let key = plan.ingress.key();
    let field = match object.and_then(|object| place(object, host)) {
        Some((at, host)) => format!("spec.rules[{at}].hosts[{host}]"),
        None => format!("{} of the generation before", rule.field),
    };
    let of = object
        .and_then(whose)
        .map_or_else(String::new, |of| format!(", of {of}"));
    Way {
        step: "scope",
        what: format!("{prefix}/{host} leads to the table {prefix}/{key}"),
        cause: Some(format!("ingress {key} {field}{of}")),
    }
}

/// Whom an Ingress was written for.
fn whose(ingress: &Object) -> Option<String> {
    let namespace = ingress.namespace();
    if let Some(ksvc) = ingress.label("serving.knative.dev/service") {
        return Some(format!("ksvc {namespace}/{ksvc}"));
    }
    let owner = ingress.list("/metadata/ownerReferences").first()?;
    let kind = owner["kind"].as_str()?.to_ascii_lowercase();
    Some(format!("{kind} {namespace}/{}", owner["name"].as_str()?))
}

fn routed(
    request: &Request,
    plan: &Plan,
    rule: &Rule,
    object: Option<&Object>,
    way: &mut Vec<Way>,
) -> Outcome {
    let key = plan.ingress.key();
    let mut found = None;
    for route in &rule.routes {
        match passes(route, request) {
            None => {
                found = Some(route);
                break;
            }
            Some(why) if request.path.starts_with(&route.prefix) => way.push(Way {
                step: "not",
                what: format!("{}{}: {why}", route.prefix, told(&route.headers)),
                cause: Some(format!("ingress {key} {}", route.field)),
            }),
            Some(_) => {}
        }
    }
    let keeps_http = found.is_some_and(|route| route.keeps_http);
    if rule.redirect && !request.https && !keeps_http {
        way.push(Way {
            step: "redirect",
            what: "plain HTTP is sent to https".to_owned(),
            cause: Some(format!("ingress {key} spec.httpOption")),
        });
        let (host, path) = (&request.host, &request.path);
        return Outcome::own(301, "HttpsRequired", format!("to https://{host}{path}"));
    }
    let Some(route) = found else {
        let paths: Vec<&str> = rule
            .routes
            .iter()
            .map(|route| route.prefix.as_str())
            .collect();
        let mut outcome = Outcome::own(
            404,
            "NoSuchPath",
            "no path of this host takes this request".to_owned(),
        );
        outcome
            .hints
            .push(format!("its paths begin with {}", paths.join(", ")));
        return outcome;
    };
    way.push(Way {
        step: "route",
        what: format!("{}{}", route.prefix, told(&route.headers)),
        cause: Some(format!("ingress {key} {}", route.field)),
    });
    if let Some(host) = &route.host_rewrite {
        way.push(Way {
            step: "host",
            what: format!("the backend sees Host: {host}"),
            cause: Some(format!("ingress {key} {}.rewriteHost", route.field)),
        });
    }
    if !route.set_headers.is_empty() {
        way.push(Way {
            step: "headers",
            what: format!("sets{}", told(&route.set_headers)),
            cause: Some(format!("ingress {key} {}.appendHeaders", route.field)),
        });
    }
    if let Some(responds) = &route.responds {
        let word = if responds.status == 404 {
            "NoSuchTarget"
        } else {
            "NotServed"
        };
        return Outcome::own(responds.status, word, responds.reason.clone());
    }
    split(plan, route, object, way)
}

/// Why a route does not take the request; `None` where it does.
fn passes(route: &Route, request: &Request) -> Option<String> {
    if !request.path.starts_with(&route.prefix) {
        return Some("another path".to_owned());
    }
    route
        .headers
        .iter()
        .find_map(|(name, value)| match request.headers.get(name) {
            Some(found) if found == value => None,
            Some(found) => Some(format!("the request has {name}: {found}")),
            None => Some(format!("the request has no header {name}")),
        })
}

fn told(headers: &Headers) -> String {
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    if headers.is_empty() {
        String::new()
    } else {
        format!(" [{}]", headers.join(", "))
    }
}

fn split(plan: &Plan, route: &Route, object: Option<&Object>, way: &mut Vec<Way>) -> Outcome {
    let key = plan.ingress.key();
    let mut shares = Vec::new();
    let mut troubles = Vec::new();
    for split in &route.splits {
        let field = field(split, route, object);
        let (what, share) = share(plan, split);
        if let Err(trouble) = &share {
            troubles.push((split.percent, trouble.clone()));
        }
        shares.push(Share {
            percent: split.percent,
            service: split.cluster.clone(),
            addresses: share.unwrap_or_default(),
        });
        way.push(Way {
            step: "split",
            what: format!("{}% {what}{}", split.percent, told(&split.set_headers)),
            cause: Some(format!("ingress {key} {field}")),
        });
    }
    let hints = troubles
        .iter()
        .map(|(percent, (word, why))| format!("{percent}% of the requests: 503 {word}: {why}"));
    let mut outcome = match (troubles.len(), troubles.first()) {
        (all, Some((_, (word, why)))) if all == route.splits.len() => {
            Outcome::own(503, word, why.clone())
        }
        _ => Outcome {
            served: troubles.is_empty(),
            status: None,
            reason: None,
            what: match shares.as_slice() {
                [one] => format!(
                    "of a backend of {}",
                    one.service.as_deref().unwrap_or_default()
                ),
                many => format!("of one of {} splits, chosen by percentage", many.len()),
            },
            shares: Vec::new(),
            hints: hints.collect(),
        },
    };
    outcome.shares = shares;
    outcome
}

/// A split in words, and its addresses, or the word and the sentence of its 503.
type Shared = (String, Result<Vec<String>, (&'static str, String)>);

fn share(plan: &Plan, split: &Split) -> Shared {
    let Some(name) = &split.cluster else {
        let why = split.unavailable.clone().unwrap_or_default();
        return ("nobody".to_owned(), Err(("NotServed", why)));
    };
    match plan.clusters.get(name) {
        Some(cluster) => match &cluster.dns {
            Some(dns) => (
                format!("{name} ({}): the name {dns}", cluster.protocol),
                Ok(vec![dns.clone()]),
            ),
            None if cluster.addresses.is_empty() => (
                format!("{name} ({}): nobody", cluster.protocol),
                Err((
                    "NoEndpoints",
                    format!("no endpoint of the backend is ready (service {name})"),
                )),
            ),
            None => (
                format!(
                    "{name} ({}): {}",
                    cluster.protocol,
                    cluster.addresses.join(" ")
                ),
                Ok(cluster.addresses.clone()),
            ),
        },
        None => (
            format!("{name}: not known"),
            Err((
                "UnknownBackend",
                "the backend is not known to the operator".to_owned(),
            )),
        ),
    }
}

/// The field of a split: the entry of the Ingress with the same Service and share.
fn field(split: &Split, route: &Route, object: Option<&Object>) -> String {
    if let Some(why) = &split.unavailable {
        // The sentence of a rejection begins with its field.
        let of_route = why.starts_with(&format!("{}.splits[", route.field));
        let field = why.split(": ").next().filter(|_| of_route);
        return field.map_or_else(|| format!("{}.splits", route.field), str::to_owned);
    }
    let pointer = route
        .field
        .replace("].", "/")
        .replace(['[', '.'], "/")
        .replace(']', "");
    let service = split
        .cluster
        .as_deref()
        .and_then(|name| name.split('/').nth(1));
    let same = |one: &Value| {
        one["percent"].as_u64().unwrap_or(100) == u64::from(split.percent)
            && service.is_none_or(|service| one["serviceName"] == service)
    };
    let at = object.and_then(|object| {
        object
            .list(&format!("/{pointer}/splits"))
            .iter()
            .position(same)
    });
    match at {
        Some(at) => format!("{}.splits[{at}]", route.field),
        None => format!("{}.splits", route.field),
    }
}

/// The outcome for a host that nobody serves on this side.
fn nobody(request: &Request, known: &Known) -> Outcome {
    let host = &request.host;
    let mut outcome = Outcome::own(
        404,
        "NoSuchHost",
        "no Ingress serves this host here".to_owned(),
    );
    let hints = &mut outcome.hints;
    if owner(known, "internal", host).is_some() {
        hints.push(format!(
            "{host} is cluster-local: it is served inside alone (--from inside)"
        ));
        return outcome;
    }
    for ingress in &known.ingresses {
        let Some((rule, at)) = place(ingress, host) else {
            continue;
        };
        let key = ingress.key();
        if !is_ours(ingress) {
            let class = ingress.annotation(CLASS_KEY).unwrap_or("none");
            hints.push(format!(
                "ingress {key} spec.rules[{rule}].hosts[{at}] names it, and is of class {class}"
            ));
            continue;
        }
        hints.push(format!(
            "ingress {key} spec.rules[{rule}].hosts[{at}] names it, and gateways do not serve it: sluice explain -n {} ingress/{}",
            ingress.namespace(), ingress.name()
        ));
    }
    if hints.is_empty() {
        let near = nearest(host, &known.ingresses);
        if !near.is_empty() {
            hints.push(format!("nearest: {}", near.join(", ")));
        }
    }
    outcome
}

/// The hosts whose names differ least; none where all differ by a third or more.
fn nearest(host: &str, ingresses: &[Object]) -> Vec<String> {
    let rules = ingresses
        .iter()
        .filter(|one| is_ours(one))
        .flat_map(|one| one.list("/spec/rules"));
    let hosts = rules.flat_map(|rule| rule["hosts"].as_array().into_iter().flatten());
    let mut near: Vec<(usize, String)> = hosts
        .filter_map(Value::as_str)
        .map(|one| (distance(host, one), one.to_owned()))
        .filter(|(distance, _)| *distance * 3 < host.chars().count())
        .collect();
    near.sort();
    near.dedup();
    near.truncate(NEAREST);
    near.into_iter().map(|(_, host)| host).collect()
}

/// How many letters are to be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut last = at + 1;
        let mut row = vec![last];
        for (against, pair) in other.iter().zip(above.windows(2)) {
            let changed = pair[0] + usize::from(letter != *against);
            last = changed.min(pair[1] + 1).min(last + 1);
            row.push(last);
        }
        above = row;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_names_is_in_letters() {
        for (one, other, letters) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("hello", "hello", 0),
            ("hello", "helo", 1),
            ("hello", "jelly", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
            assert_eq!(distance(other, one), letters, "{other} {one}");
        }
    }
}
