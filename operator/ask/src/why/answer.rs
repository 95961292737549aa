//! What a gateway does with the request, step by step, by its live plan.

use serde::Serialize;

use super::Known;
use super::near::nearest;
use super::request::{Request, folded};
use super::share::split;
use crate::explain::{CLASS, CLASS_KEY};
use crate::object::Object;
use crate::page::{Headers, Plan, Route, Rule};

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
    pub(super) fn own(status: u16, reason: &str, what: String) -> Self {
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

pub(super) fn told(headers: &Headers) -> String {
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
        let near = nearest(host, request.from, &known.ingresses);
        if !near.is_empty() {
            hints.push(format!("nearest: {}", near.join(", ")));
        }
    }
    outcome
}
