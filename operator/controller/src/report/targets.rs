//! Where and what to ask before an Ingress is said to be served.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sluice_ir::{Host, Plan, Side, VirtualHost};

use crate::probe::Target;

/// Every gateway, by each side and scheme at which the plan serves something. One
/// host of a virtual host stands for all: they are one object of one table.
pub(crate) fn of(plan: Option<&Plan>, gateways: &BTreeSet<IpAddr>) -> Vec<Target> {
    let Some(plan) = plan else { return Vec::new() };
    let served: Vec<(Side, bool, &Host)> = plan
        .sides
        .iter()
        .flat_map(|(side, hosts)| hosts.iter().map(move |host| (*side, host)))
        .flat_map(|(side, host)| schemes(plan, side, host))
        .collect();
    gateways
        .iter()
        .flat_map(|gateway| {
            served.iter().map(|(side, tls, host)| Target {
                gateway: *gateway,
                side: *side,
                tls: *tls,
                host: (*host).clone(),
                hash: plan.hash.clone(),
            })
        })
        .collect()
}

fn schemes<'a>(
    plan: &'a Plan,
    side: Side,
    virtual_host: &'a VirtualHost,
) -> impl Iterator<Item = (Side, bool, &'a Host)> {
    let certificates = plan.certificates.get(&side);
    let secured = virtual_host
        .hosts
        .iter()
        .find(|host| certificates.is_some_and(|certificates| certificates.contains_key(*host)));
    let plain = virtual_host.hosts.first().map(|host| (side, false, host));
    let secured = secured.map(|host| (side, true, host));
    plain.into_iter().chain(secured)
}
