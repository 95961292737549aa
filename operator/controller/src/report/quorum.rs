//! The gateways that have to agree before an Ingress is said to be served.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sluice_ir::ObjectKey;

use crate::gateways::FleetView;
use crate::watch::GatewayEndpoint;

/// The gateways that may be getting requests: those that Kubernetes says are
/// ready, and those that hold the readiness route (their kubelet may say so at any
/// moment), minus those that terminate. One that joins later is covered by its own
/// readiness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quorum {
    /// The newest revision that all of them applied; `None` without a gateway.
    pub(crate) floor: Option<u64>,
    /// Where they are probed. One that no slice names yet has no address, and
    /// gets no request by that Service either.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// How many they are.
    pub(crate) gateways: usize,
}

/// One gateway, as Kubernetes and its stream have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) address: Option<IpAddr>,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
    serving: bool,
    /// The newest revision that it applied; 0 before the first.
    acked: u64,
}

impl Member {
    /// Whether it has to agree.
    pub(crate) fn is_required(&self) -> bool {
        (self.ready || self.serving) && !self.terminating
    }
}

/// Every gateway that a slice or a stream names, by node id.
pub(crate) fn members<'a>(
    slices: &'a BTreeMap<ObjectKey, Vec<GatewayEndpoint>>,
    fleet: &'a FleetView,
) -> BTreeMap<&'a str, Member> {
    let mut members: BTreeMap<&str, Member> = BTreeMap::new();
    for endpoint in slices.values().flatten() {
        let member = members.entry(&endpoint.node).or_default();
        member.ready |= endpoint.ready && !endpoint.terminating;
        member.terminating |= endpoint.terminating;
        // Two stacks are two slices with the same pod: one address will do.
        let address = member.address.map_or(endpoint.ip, |ip| ip.min(endpoint.ip));
        member.address = Some(address);
    }
    for (node, view) in &fleet.gateways {
        let member = members.entry(node).or_default();
        member.serving = view.serving;
        member.acked = view.acked.unwrap_or(0);
    }
    members
}

impl Quorum {
    pub(crate) fn of(
        slices: &BTreeMap<ObjectKey, Vec<GatewayEndpoint>>,
        fleet: &FleetView,
    ) -> Self {
        let mut quorum = Self::default();
        for member in members(slices, fleet).values() {
            if member.is_required() {
                let floor = quorum.floor.unwrap_or(u64::MAX);
                quorum.floor = Some(member.acked.min(floor));
                quorum.addresses.extend(member.address);
                quorum.gateways += 1;
            }
        }
        quorum
    }

    /// Who of them has not applied a revision.
    pub(crate) fn behind(
        slices: &BTreeMap<ObjectKey, Vec<GatewayEndpoint>>,
        fleet: &FleetView,
        revision: u64,
    ) -> Vec<String> {
        let members = members(slices, fleet).into_iter();
        members
            .filter(|(_, member)| member.is_required() && member.acked < revision)
            .map(|(node, _)| node.to_owned())
            .collect()
    }

    /// Whether all of them applied a revision; `None` without a gateway.
    pub(crate) fn has_applied(&self, revision: u64) -> Option<bool> {
        self.floor.map(|floor| floor >= revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateways::GatewayView;

    const READY: (bool, bool) = (true, false);
    const UNREADY: (bool, bool) = (false, false);
    const LEAVING: (bool, bool) = (false, true);

    /// `(floor, addresses)` of gateways `(pod, last byte of its address, state)` and
    /// of streams `(pod, acked, serving)`.
    fn quorum(
        pods: &[(&str, u8, (bool, bool))],
        streams: &[(&str, Option<u64>, bool)],
    ) -> (Option<u64>, Vec<u8>) {
        let endpoints = pods.iter().map(|(pod, byte, (ready, terminating))| {
            let endpoint = GatewayEndpoint {
                node: (*pod).to_owned(),
                ip: IpAddr::from([10, 0, 0, *byte]),
                ready: *ready,
                terminating: *terminating,
            };
            (
                ObjectKey::new("ns", format!("{pod}-{byte}")),
                vec![endpoint],
            )
        });
        let gateways = streams.iter().map(|(pod, acked, serving)| {
            let (acked, serving) = (*acked, *serving);
            ((*pod).to_owned(), GatewayView { acked, serving })
        });
        let fleet = FleetView {
            gateways: gateways.collect(),
            refused: Vec::new(),
        };
        let found = Quorum::of(&endpoints.collect(), &fleet);
        let last_byte = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        };
        (found.floor, found.addresses.iter().map(last_byte).collect())
    }

    #[test]
    fn who_has_to_agree() {
        type Pods = &'static [(&'static str, u8, (bool, bool))];
        type Streams = &'static [(&'static str, Option<u64>, bool)];
        type Row = (&'static str, Pods, Streams, (Option<u64>, &'static [u8]));
        let table: [Row; 10] = [
            ("nobody", &[], &[], (None, &[])),
            (
                "ready and acked",
                &[("a", 1, READY)],
                &[("a", Some(4), true)],
                (Some(4), &[1]),
            ),
            (
                "the slowest counts",
                &[("a", 1, READY), ("b", 2, READY)],
                &[("a", Some(4), true), ("b", Some(3), true)],
                (Some(3), &[1, 2]),
            ),
            (
                "ready without a stream",
                &[("a", 1, READY)],
                &[],
                (Some(0), &[1]),
            ),
            (
                "ready, before its first ack",
                &[("a", 1, READY)],
                &[("a", None, false)],
                (Some(0), &[1]),
            ),
            (
                "serving before kubernetes knows",
                &[("a", 1, UNREADY)],
                &[("a", Some(4), true)],
                (Some(4), &[1]),
            ),
            (
                "serving, named by no slice",
                &[],
                &[("a", Some(4), true)],
                (Some(4), &[]),
            ),
            (
                "neither ready nor serving",
                &[("a", 1, UNREADY)],
                &[("a", Some(4), false)],
                (None, &[]),
            ),
            (
                "leaving never gates",
                &[("a", 1, READY), ("b", 2, LEAVING)],
                &[("a", Some(4), true), ("b", Some(1), true)],
                (Some(4), &[1]),
            ),
            (
                "only leaving",
                &[("a", 1, LEAVING)],
                &[("a", Some(4), true)],
                (None, &[]),
            ),
        ];
        for (name, pods, streams, (floor, addresses)) in table {
            assert_eq!(quorum(pods, streams), (floor, addresses.to_vec()), "{name}");
        }
    }

    #[test]
    fn two_stacks_are_one_gateway() {
        let pods = [("a", 2, READY), ("a", 1, READY)];
        assert_eq!(quorum(&pods, &[("a", Some(1), true)]), (Some(1), vec![1]));
    }

    #[test]
    fn a_revision_is_applied_once_all_have_it() {
        let at = |floor| Quorum {
            floor,
            ..Quorum::default()
        };
        assert_eq!(at(None).has_applied(0), None);
        assert_eq!(at(Some(3)).has_applied(4), Some(false));
        assert_eq!(at(Some(4)).has_applied(4), Some(true));
    }
}
