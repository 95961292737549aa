//! A rewrite into our own private gateway, done in one hop.
//!
//! ```text
//! two hops   client ─ path of the mapping ─ gateway ─ path of the target ─ backend
//! one hop    client ─ path of the mapping × path of the target ─────────── backend
//! ```
//!
//! A request that takes a path of the mapping enters the internal side under
//! `rewriteHost`, with the headers that the mapping sets. Which path of the target
//! takes it there can be told beforehand, so each pair becomes one route. The order
//! is the mapping's, then the target's, and each path of the mapping is closed by
//! the 404 that the internal side would give: falling through to the next path of
//! the mapping is what a request cannot do after it has left.

use std::collections::BTreeMap;
use std::rc::Rc;

use sluice_ir::{Action, Cluster, Headers, Host, ObjectKey, Route, ServicePort};

use crate::field::{AtRule, quote};
use crate::headers::removed_at_entry;
use crate::paths::{Deed, Match, unavailable};
use crate::rejections::Rejections;
use crate::routes::{in_order, route};
use crate::{Inputs, Target, validity};

/// Most routes that one Ingress may get by crossing. Beyond it stays with two
/// hops: two manifests of many paths each would multiply.
const MOST_CROSSED: usize = 10_000;

/// Where a rewrite arrives.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// At no rule.
    Nowhere,
    /// At an Ingress that is refused and never was anything else.
    Refused(ObjectKey),
    /// At a rule.
    Rule(Rc<LandingRule>),
}

/// The rule at which a rewrite arrives.
#[derive(Debug)]
pub(crate) struct LandingRule {
    routes: Vec<Route>,
    /// Clusters of its splits.
    pub(crate) clusters: BTreeMap<ServicePort, Cluster>,
    leads_back: bool,
}

impl Landing {
    /// Whether a path there would enter a gateway once more.
    pub(crate) fn leads_back(&self) -> bool {
        matches!(self, Landing::Rule(rule) if rule.leads_back)
    }
}

/// The targets of one Ingress, each read once.
pub(crate) struct Crossings<'a> {
    inputs: &'a Inputs<'a>,
    refused: BTreeMap<ObjectKey, bool>,
    rules: BTreeMap<(ObjectKey, usize), Rc<LandingRule>>,
    crossed: usize,
}

impl<'a> Crossings<'a> {
    pub(crate) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self {
            inputs,
            refused: BTreeMap::new(),
            rules: BTreeMap::new(),
            crossed: 0,
        }
    }

    /// Where a host leads inside; `Err` names the Ingress of another namespace
    /// that has it.
    pub(crate) fn land(&mut self, host: &Host) -> Result<Landing, ObjectKey> {
        let (ingress, index) = match self.inputs.targets.get(host) {
            None | Some(Target::Absent) => return Ok(Landing::Nowhere),
            Some(Target::Foreign { owner }) => return Err(owner.clone()),
            Some(Target::Rule { ingress, rule }) => (*ingress, *rule),
        };
        let metadata = &ingress.metadata;
        let key = ObjectKey::new(&metadata.namespace, &metadata.name);
        let refused = *self.refused.entry(key.clone()).or_insert_with(|| {
            let mut faults = Rejections::default();
            validity::check(ingress, &mut faults);
            faults.refusal().is_some()
        });
        if refused {
            return Ok(Landing::Refused(key));
        }
        let Some(rule) = ingress.spec.rules.get(index) else {
            return Ok(Landing::Nowhere);
        };
        let inputs = self.inputs;
        let id = key.to_string();
        let landing = self.rules.entry((key, index)).or_insert_with(|| {
            // What is wrong with the target stands in the target's own verdict.
            let mut faults = Rejections::default();
            let mut landing = LandingRule {
                routes: Vec::new(),
                clusters: BTreeMap::new(),
                leads_back: false,
            };
            for (matching, path) in in_order(inputs, rule, AtRule(index), &mut faults) {
                let action = match path.deed {
                    Deed::Act(action) => action,
                    Deed::Enter(_) => {
                        landing.leads_back = true;
                        let field = format!("{}.rewriteHost", path.at);
                        unavailable(format!(
                            "{field} of Ingress {id} leads into a gateway again"
                        ))
                    }
                };
                let named = path.upstreams.into_iter();
                landing
                    .clusters
                    .extend(named.map(|upstream| (upstream.service_port, upstream.cluster)));
                landing.routes.push(route(path.at, matching, action));
            }
            Rc::new(landing)
        });
        Ok(Landing::Rule(Rc::clone(landing)))
    }

    /// The routes that one path of the mapping becomes; `None` where there would
    /// be too many. `carried` are the headers that requests enter with,
    /// `authority` is what they enter under.
    pub(crate) fn cross(
        &mut self,
        path: usize,
        mapping: &Match,
        authority: &str,
        carried: &Headers,
        landing: &Landing,
    ) -> Option<Vec<Route>> {
        let crossed = |matching: Match, action| Route {
            path,
            prefix: matching.prefix,
            headers: matching.headers,
            keeps_http: mapping.keeps_http(),
            action,
        };
        let target = match landing {
            Landing::Nowhere => return Some(vec![crossed(mapping.clone(), unknown(authority))]),
            Landing::Refused(key) => {
                let reason = format!("Ingress {key} is refused");
                return Some(vec![crossed(mapping.clone(), unavailable(reason))]);
            }
            Landing::Rule(target) => target,
        };
        self.crossed += target.routes.len() + 1;
        if self.crossed > MOST_CROSSED {
            return None;
        }
        let mut routes = Vec::new();
        for inner in &target.routes {
            if let Some(matching) = both(mapping, inner, carried) {
                let last = matching == *mapping;
                routes.push(crossed(matching, arrive(&inner.action, authority, carried)));
                if last {
                    return Some(routes);
                }
            }
        }
        routes.push(crossed(mapping.clone(), unknown(authority)));
        Some(routes)
    }
}

fn unknown(authority: &str) -> Action {
    Action::Respond {
        status: 404,
        reason: format!("nothing is served at {}", quote(authority)),
    }
}

/// The requests that take a path of the mapping and then a path of the target;
/// `None` where there are none.
fn both(mapping: &Match, inner: &Route, carried: &Headers) -> Option<Match> {
    let (long, short) = if mapping.prefix.len() >= inner.prefix.len() {
        (&mapping.prefix, &inner.prefix)
    } else {
        (&inner.prefix, &mapping.prefix)
    };
    if !long.starts_with(short.as_str()) {
        return None;
    }
    let mut headers = mapping.headers.clone();
    for (name, value) in &inner.headers {
        // What the mapping sets is what the target sees, whatever the client sent.
        if let Some(set) = carried.get(name) {
            if set != value {
                return None;
            }
            continue;
        }
        if removed_at_entry(name) || headers.get(name).is_some_and(|other| other != value) {
            return None;
        }
        headers.insert(name.clone(), value.clone());
    }
    Some(Match {
        prefix: long.clone(),
        headers,
    })
}

/// What the target does with a request that entered under `authority`.
fn arrive(action: &Action, authority: &str, carried: &Headers) -> Action {
    match action {
        Action::Forward {
            host_rewrite,
            set_headers,
            splits,
        } => {
            let mut all = carried.clone();
            all.extend(set_headers.clone());
            Action::Forward {
                host_rewrite: host_rewrite.clone().or_else(|| Some(authority.to_owned())),
                set_headers: all,
                splits: splits.clone(),
            }
        }
        Action::Respond { .. } => action.clone(),
    }
}

#[cfg(test)]
mod tests;
