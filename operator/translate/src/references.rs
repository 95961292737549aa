//! What the plan of an Ingress depends on besides the Ingress.

use std::collections::{BTreeMap, BTreeSet};

use sluice_crds as crds;
use sluice_ir::{Host, ObjectKey, Side};

use crate::Config;

/// What an Ingress names, valid or not: the edges of the reverse index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Services that splits name, in the Ingress's own namespace.
    pub services: BTreeSet<ObjectKey>,
    /// Secrets that `tls` names, in the Ingress's own namespace.
    pub secrets: BTreeSet<ObjectKey>,
    /// Hosts that rules want, by side, short forms of cluster-local names included.
    pub claims: BTreeSet<(Side, Host)>,
    /// Hosts that paths rewrite to.
    pub rewrites: BTreeSet<Host>,
}

/// Reads what an Ingress names. Total: what cannot be read is left out, since
/// [`crate::translate`] rejects it without looking it up.
#[must_use]
pub fn references(ingress: &crds::Ingress, config: &Config) -> References {
    let namespace = &ingress.metadata.namespace;
    let mut found = References::default();
    for tls in &ingress.spec.tls {
        if tls.secret_namespace == *namespace && !tls.secret_name.is_empty() {
            let secret = ObjectKey::new(namespace, &tls.secret_name);
            found.secrets.insert(secret);
        }
    }
    for rule in &ingress.spec.rules {
        for host in rule_hosts(rule, config) {
            for side in sides(&rule.visibility) {
                found.claims.insert((*side, host.clone()));
            }
        }
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            if let Ok(host) = Host::parse(&path.rewrite_host) {
                found.rewrites.insert(host);
            }
            for split in &path.splits {
                if split.service_namespace == *namespace && !split.service_name.is_empty() {
                    let service = ObjectKey::new(namespace, &split.service_name);
                    found.services.insert(service);
                }
            }
        }
    }
    found
}

/// The rule that serves each host on a side: the first that names it, and where
/// none does, the first that has it as a short form.
pub(crate) fn rules_by_host(
    ingress: &crds::Ingress,
    side: Side,
    config: &Config,
) -> BTreeMap<Host, usize> {
    let mut named = BTreeMap::new();
    let mut short = BTreeMap::new();
    for (index, rule) in ingress.spec.rules.iter().enumerate() {
        if !sides(&rule.visibility).contains(&side) {
            continue;
        }
        for host in rule.hosts.iter().filter_map(|text| Host::parse(text).ok()) {
            for form in short_forms(&host, config) {
                short.entry(form).or_insert(index);
            }
            named.entry(host).or_insert(index);
        }
    }
    for (host, index) in short {
        named.entry(host).or_insert(index);
    }
    named
}

/// The sides that a rule stands on. An unknown visibility refuses the Ingress;
/// until it is mended it keeps its hosts inside only, where nothing can leak.
pub(crate) fn sides(visibility: &crds::Visibility) -> &'static [Side] {
    match visibility.0.as_str() {
        "" | crds::Visibility::EXTERNAL_IP => &Side::ALL,
        _ => &[Side::Internal],
    }
}

/// The readable hosts of a rule with the short forms of cluster-local ones.
pub(crate) fn rule_hosts(rule: &crds::IngressRule, config: &Config) -> BTreeSet<Host> {
    let mut hosts = BTreeSet::new();
    for host in rule.hosts.iter().filter_map(|text| Host::parse(text).ok()) {
        hosts.extend(short_forms(&host, config));
        hosts.insert(host);
    }
    hosts
}

/// `n.ns.svc` and `n.ns` for `n.ns.svc.<suffix>` (Knative's `ExpandedHosts`,
/// `knative.dev/networking pkg/ingress/ingress.go`). A form that ends in digits
/// only is left out, as there: it would read as an address.
pub(crate) fn short_forms(host: &Host, config: &Config) -> Vec<Host> {
    let suffix = config.cluster_suffix.to_ascii_lowercase();
    let local = host
        .as_str()
        .strip_suffix(suffix.as_str())
        .and_then(|rest| rest.strip_suffix(".svc."));
    let Some(local) = local else {
        return Vec::new();
    };
    let last = local.rsplit('.').next().unwrap_or(local);
    let mut forms = vec![format!("{local}.svc")];
    if !last.bytes().all(|b| b.is_ascii_digit()) {
        forms.push(local.to_owned());
    }
    forms
        .iter()
        .filter_map(|form| Host::parse(form).ok())
        .collect()
}

#[cfg(test)]
mod tests;
