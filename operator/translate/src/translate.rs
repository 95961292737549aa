//! One Ingress, whole and alone.

use std::collections::{BTreeMap, BTreeSet};

use sluice_ir::{ObjectKey, Plan, RefusedPlan, Route, Side, VirtualHost};

use crate::field::AtRule;
use crate::hosts::{self, OwnedHosts};
use crate::rejections::Rejections;
use crate::routes::Planner;
use crate::tls::{self, Certificates};
use crate::{Inputs, Translated, Translation, splits, validity};

/// Translates one Ingress. Total: a spec that cannot be planned gives a refused
/// plan, a part that cannot be served is missing from the plan or answers 503,
/// and the verdict names each such field.
#[must_use]
pub fn translate(inputs: &Inputs<'_>) -> Translation {
    let mut rejections = Rejections::default();
    validity::check(inputs.ingress, &mut rejections);
    let owned = hosts::settle(inputs, &mut rejections);
    let translated = match rejections.refusal() {
        Some(reason) => Translated::Refused(refused(inputs, &owned, reason)),
        None => Translated::Plan(plan(inputs, &owned, &mut rejections)),
    };
    Translation {
        translated,
        verdict: rejections.into_verdict(),
    }
}

fn plan(inputs: &Inputs<'_>, owned: &OwnedHosts, rejections: &mut Rejections) -> Plan {
    let ingress = inputs.ingress;
    let certificates = tls::certificates(inputs, owned, rejections);
    let mut planner = Planner::new(inputs);
    let mut sides: BTreeMap<Side, Vec<VirtualHost>> = BTreeMap::new();
    for (index, rule) in ingress.spec.rules.iter().enumerate() {
        let routes = planner.routes(AtRule(index), rule, rejections);
        for side in Side::ALL {
            let hosts = owned.of(side, index);
            if hosts.is_empty() {
                continue;
            }
            sides.entry(side).or_default().push(VirtualHost {
                rule: index,
                redirect: ingress.spec.http_option.redirects()
                    && redirectable(side, &hosts, &certificates),
                hosts,
                routes: routes.clone(),
            });
        }
    }
    let served = sides.values().flatten();
    let routes = served.flat_map(|host: &VirtualHost| host.routes.iter());
    let clusters = planner.clusters_of(routes.collect::<Vec<&Route>>().into_iter());
    Plan {
        ingress: key(inputs),
        hash: ingress.network_hash(),
        clusters,
        sides,
        certificates,
    }
}

/// Whether plain HTTP may be redirected: where https would fail it may not.
fn redirectable(
    side: Side,
    hosts: &BTreeSet<sluice_ir::Host>,
    certificates: &Certificates,
) -> bool {
    let shown = certificates.get(&side);
    side == Side::External
        && shown.is_some_and(|shown| hosts.iter().all(|host| shown.contains_key(host)))
}

fn refused(inputs: &Inputs<'_>, owned: &OwnedHosts, reason: String) -> RefusedPlan {
    let mut clusters = BTreeMap::new();
    for (rule_index, rule) in inputs.ingress.spec.rules.iter().enumerate() {
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        for (index, path) in paths.enumerate() {
            let at = AtRule(rule_index).path(index);
            let named = splits::upstreams(inputs, path, at);
            clusters.extend(named.map(|upstream| (upstream.service_port, upstream.cluster)));
        }
    }
    RefusedPlan {
        ingress: key(inputs),
        hosts: owned.by_side(),
        clusters,
        reason,
    }
}

fn key(inputs: &Inputs<'_>) -> ObjectKey {
    let metadata = &inputs.ingress.metadata;
    ObjectKey::new(&metadata.namespace, &metadata.name)
}
