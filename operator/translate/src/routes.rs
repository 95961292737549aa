//! From a rule to its routes in matching order.
//!
//! The longest literal prefix comes first; among equal prefixes the manifest's
//! order stands. Knative's text asks for manifest order alone ("the first match
//! takes precedence", `ingress_types.go`), Kourier sorts by length, and what
//! Serving writes means the same under both: the ACME challenge first, then tag
//! routes (prefix `/` with a header), then the catch-all. What a hand-written
//! manifest has to know: a longer prefix beats a shorter one with a header match,
//! even a later one beats an earlier one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sluice_crds as crds;
use sluice_ir::{Action, Cluster, Reason, Route, ServicePort};

use crate::crossing::{Crossings, Landing};
use crate::field::{AtPath, AtRule, quote};
use crate::paths::{self, Deed, Entrance, Match, ReadPath, unavailable};
use crate::rejections::{Rejections, rejection};
use crate::{Inputs, backend::Upstream};

/// Plans the routes of one Ingress.
pub(crate) struct Planner<'a> {
    inputs: &'a Inputs<'a>,
    crossings: Crossings<'a>,
    /// Every cluster that a split names.
    clusters: BTreeMap<ServicePort, Cluster>,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self {
            inputs,
            crossings: Crossings::new(inputs),
            clusters: BTreeMap::new(),
        }
    }

    /// The routes of one rule.
    pub(crate) fn routes(
        &mut self,
        at: AtRule,
        rule: &crds::IngressRule,
        rejections: &mut Rejections,
    ) -> Vec<Route> {
        let mut routes = Vec::new();
        for (matching, path) in in_order(self.inputs, rule, at, rejections) {
            match path.deed {
                Deed::Act(action) => {
                    self.note(path.upstreams);
                    routes.push(route(path.at, matching, action));
                }
                Deed::Enter(entrance) => {
                    let found = self.enter(path.at, matching, entrance, rejections);
                    match found {
                        Entered::OneHop(crossed) => routes.extend(crossed),
                        Entered::Plain(route) => {
                            self.note(path.upstreams);
                            routes.push(route);
                        }
                    }
                }
            }
        }
        routes
    }

    /// The clusters that these routes name.
    pub(crate) fn clusters_of<'r>(
        &self,
        routes: impl Iterator<Item = &'r Route>,
    ) -> BTreeMap<ServicePort, Cluster> {
        let mut named = BTreeMap::new();
        for route in routes {
            let Action::Forward { splits, .. } = &route.action else {
                continue;
            };
            for split in splits {
                if let sluice_ir::Backend::Cluster(port) = &split.backend
                    && let Some(cluster) = self.clusters.get(port)
                {
                    named.insert(port.clone(), cluster.clone());
                }
            }
        }
        named
    }

    fn note(&mut self, upstreams: Vec<Upstream>) {
        let named = upstreams.into_iter().map(|u| (u.service_port, u.cluster));
        self.clusters.extend(named);
    }

    fn enter(
        &mut self,
        at: AtPath,
        matching: Match,
        entrance: Entrance,
        rejections: &mut Rejections,
    ) -> Entered {
        let plain = |matching, action| Entered::Plain(route(at, matching, action));
        let landing = match self.crossings.land(&entrance.rewrite.host) {
            Ok(landing) => landing,
            Err(owner) => {
                let reason = rejections.add(rejection(
                    Reason::CrossNamespaceRewrite,
                    format!("{at}.rewriteHost"),
                    format!(
                        "host {}, which belongs to Ingress {owner}",
                        quote(entrance.rewrite.host.as_str())
                    ),
                    "a host of the Ingress's own namespace",
                    format!("move the Ingress to namespace {}", owner.namespace),
                ));
                return plain(matching, unavailable(reason));
            }
        };
        if landing.leads_back() {
            let reason = rejections.add(rejection(
                Reason::RewriteLoop,
                format!("{at}.rewriteHost"),
                format!(
                    "host {} with paths that rewrite into this gateway again",
                    quote(entrance.rewrite.host.as_str())
                ),
                "a host whose paths all lead to backends",
                "rewrite to the host where the chain ends",
            ));
            if entrance.carried.is_none() {
                return plain(matching, unavailable(reason));
            }
        }
        let Some(carried) = &entrance.carried else {
            return plain(matching, entrance.two_hops);
        };
        let authority = &entrance.rewrite.authority;
        let crossed = self
            .crossings
            .cross(at.path, &matching, authority, carried, &landing);
        let Some(routes) = crossed else {
            return plain(matching, entrance.two_hops);
        };
        if let Landing::Rule(rule) = &landing {
            self.clusters.extend(rule.clusters.clone());
        }
        Entered::OneHop(routes)
    }
}

enum Entered {
    OneHop(Vec<Route>),
    Plain(Route),
}

/// The paths of a rule that requests can match, in matching order.
pub(crate) fn in_order(
    inputs: &Inputs<'_>,
    rule: &crds::IngressRule,
    at: AtRule,
    rejections: &mut Rejections,
) -> Vec<(Match, ReadPath)> {
    let paths = rule.http.iter().flat_map(|http| &http.paths).enumerate();
    let mut read: Vec<(Match, ReadPath)> = paths
        .filter_map(|(index, path)| {
            let mut read = paths::read(inputs, path, at.path(index), rejections);
            Some((read.matching.take()?, read))
        })
        .collect();
    read.sort_by_key(|(matching, _)| Reverse(matching.prefix.len()));
    read
}

/// A route as its path says it.
pub(crate) fn route(at: AtPath, matching: Match, action: Action) -> Route {
    Route {
        path: at.path,
        keeps_http: matching.keeps_http(),
        prefix: matching.prefix,
        headers: matching.headers,
        action,
    }
}
