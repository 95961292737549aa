//! Which rule serves which host on which side.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use sluice_crds as crds;
use sluice_ir::{Host, HostError, ObjectKey, Reason, Side};

use crate::field::{AtRule, quote};
use crate::references::{short_forms, sides};
use crate::rejections::{Rejections, rejection};
use crate::{Inputs, Ownership};

/// The hosts that this Ingress owns, by the rule that serves them.
#[derive(Debug, Default)]
pub(crate) struct OwnedHosts(BTreeMap<(Side, usize), BTreeSet<Host>>);

impl OwnedHosts {
    /// What one rule serves on one side; empty where it lost everything.
    pub(crate) fn of(&self, side: Side, rule: usize) -> BTreeSet<Host> {
        self.0.get(&(side, rule)).cloned().unwrap_or_default()
    }

    /// All of them by side.
    pub(crate) fn by_side(&self) -> BTreeMap<Side, BTreeSet<Host>> {
        let mut all: BTreeMap<Side, BTreeSet<Host>> = BTreeMap::new();
        for ((side, _), hosts) in &self.0 {
            all.entry(*side).or_default().extend(hosts.iter().cloned());
        }
        all
    }
}

/// Gives each host to one rule: a host that is named twice on one side to the
/// first rule ("the first rule will take precedent", `ingress_types.go`), a host
/// that the world gives to another Ingress to none. The short forms of
/// cluster-local names follow their full name, where no rule names them itself.
pub(crate) fn settle(inputs: &Inputs<'_>, rejections: &mut Rejections) -> OwnedHosts {
    let mut settling = Settling {
        inputs,
        taken: BTreeMap::new(),
        owned: OwnedHosts::default(),
        rejections,
    };
    let rules = &inputs.ingress.spec.rules;
    let mut full_names = Vec::new();
    for (rule_index, rule) in rules.iter().enumerate() {
        for (index, text) in rule.hosts.iter().enumerate() {
            let field = HostField {
                rule: rule_index,
                host: index,
            };
            match Host::parse(text) {
                Ok(host) => {
                    settling.claim(field, rule, &host, None);
                    full_names.push((field, rule, host));
                }
                Err(fault) => settling.unreadable(field, text, &fault),
            }
        }
    }
    for (field, rule, host) in full_names {
        for form in short_forms(&host, inputs.config) {
            settling.claim(field, rule, &form, Some(&host));
        }
    }
    settling.owned
}

#[derive(Clone, Copy)]
struct HostField {
    rule: usize,
    host: usize,
}

impl HostField {
    fn path(self) -> String {
        format!("{}.hosts[{}]", AtRule(self.rule), self.host)
    }
}

struct Settling<'a> {
    inputs: &'a Inputs<'a>,
    /// The first rule to name a host on a side.
    taken: BTreeMap<(Side, Host), usize>,
    owned: OwnedHosts,
    rejections: &'a mut Rejections,
}

/// Who has a host that a rule does not get.
#[derive(Clone, PartialEq, Eq)]
enum Holder {
    Rule(usize),
    Ingress(ObjectKey),
    Namespace(String),
}

impl Settling<'_> {
    /// `full` is the name that `host` is a short form of.
    fn claim(
        &mut self,
        field: HostField,
        rule: &crds::IngressRule,
        host: &Host,
        full: Option<&Host>,
    ) {
        let on = sides(&rule.visibility);
        let mut lost: Vec<(Side, Holder)> = Vec::new();
        for side in on.iter().copied() {
            if let Some(full) = full
                && !self.owns(side, field.rule, full)
            {
                continue;
            }
            match self.claim_on(side, field.rule, host) {
                Some(Holder::Rule(_)) if full.is_some() => {}
                Some(fault) => lost.push((side, fault)),
                None => {}
            }
        }
        while let Some((side, fault)) = lost.first().cloned() {
            let everywhere = lost.iter().filter(|(_, other)| *other == fault).count() == on.len();
            lost.retain(|(_, other)| *other != fault);
            let place = if everywhere {
                String::new()
            } else {
                format!(" on the {side} side")
            };
            self.reject(field, host, full, &place, fault);
        }
    }

    fn owns(&self, side: Side, rule: usize, host: &Host) -> bool {
        let hosts = self.owned.0.get(&(side, rule));
        hosts.is_some_and(|hosts| hosts.contains(host))
    }

    fn claim_on(&mut self, side: Side, rule: usize, host: &Host) -> Option<Holder> {
        let claim = (side, host.clone());
        match self.taken.entry(claim.clone()) {
            Entry::Occupied(first) if *first.get() == rule => return None,
            Entry::Occupied(first) => return Some(Holder::Rule(*first.get())),
            Entry::Vacant(free) => free.insert(rule),
        };
        match self.inputs.owners.get(&claim) {
            None | Some(Ownership::Owned) => {
                self.owned
                    .0
                    .entry((side, rule))
                    .or_default()
                    .insert(host.clone());
                None
            }
            Some(Ownership::Conflict { owner }) => Some(Holder::Ingress(owner.clone())),
            Some(Ownership::Foreign { namespace }) => Some(Holder::Namespace(namespace.clone())),
        }
    }

    fn reject(
        &mut self,
        field: HostField,
        host: &Host,
        full: Option<&Host>,
        place: &str,
        fault: Holder,
    ) {
        let mut named = format!("host {}", quote(host.as_str()));
        if let Some(full) = full {
            named = format!("{named}, short for {}", quote(full.as_str()));
        }
        let namespace = &self.inputs.ingress.metadata.namespace;
        let rejection = match fault {
            Holder::Rule(first) => rejection(
                Reason::DuplicateHost,
                field.path(),
                format!("{named}, which {} names already{place}", AtRule(first)),
                "each host in one rule only",
                format!(
                    "remove it here, or move the paths of this rule to {}",
                    AtRule(first)
                ),
            ),
            Holder::Ingress(owner) => rejection(
                Reason::DomainConflict,
                field.path(),
                format!("{named}, which belongs to Ingress {owner}{place}"),
                "a host that no other Ingress has",
                format!("remove it here, or from Ingress {owner}"),
            ),
            Holder::Namespace(owner) => rejection(
                Reason::ForeignLocalName,
                field.path(),
                format!(
                    "{named}, a cluster-local name of namespace {}",
                    quote(&owner)
                ),
                format!("a cluster-local name of namespace {}", quote(namespace)),
                format!("remove it here, or move the Ingress to namespace {owner}"),
            ),
        };
        self.rejections.add(rejection);
    }

    fn unreadable(&mut self, field: HostField, text: &str, fault: &HostError) {
        let rejection = match fault {
            HostError::Wildcard => rejection(
                Reason::WildcardHost,
                field.path(),
                format!("host {}", quote(text)),
                "an exact host name",
                "list each host by its full name; wildcards are not supported",
            ),
            fault => rejection(
                Reason::InvalidHost,
                field.path(),
                format!("host {}, which {fault}", quote(text)),
                "a DNS name",
                "correct the host, or remove it",
            ),
        };
        self.rejections.add(rejection);
    }
}

#[cfg(test)]
mod tests;
