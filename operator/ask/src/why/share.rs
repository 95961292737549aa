//! Which backends answer, by share.

use serde_json::Value;

use super::answer::{Outcome, Share, Way, told};
use crate::object::Object;
use crate::page::{Plan, Route, Split};

/// The splits of a route, and what comes of them.
pub(super) fn split(
    plan: &Plan,
    route: &Route,
    object: Option<&Object>,
    way: &mut Vec<Way>,
) -> Outcome {
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
