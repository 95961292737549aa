//! Which certificate a host shows.

use std::collections::{BTreeMap, BTreeSet};

use sluice_crds as crds;
use sluice_ir::{Certificate, Host, Reason, Rejection, Side};

use crate::Inputs;
use crate::certificate::{self, Readable, Unusable, covers};
use crate::field::{AtRule, quote};
use crate::hosts::OwnedHosts;
use crate::references::sides;
use crate::rejections::{Rejections, rejection};

/// Certificates by side and owned host.
pub(crate) type Certificates = BTreeMap<Side, BTreeMap<Host, Certificate>>;

/// Gives each rule the certificate of the first usable `tls` entry that names all
/// its hosts (Knative's `GetIngressTLSForVisibility`, `ingress_helpers.go`): a
/// rule that an entry covers in part stays without, all of it.
pub(crate) fn certificates(
    inputs: &Inputs<'_>,
    owned: &OwnedHosts,
    rejections: &mut Rejections,
) -> Certificates {
    let spec = &inputs.ingress.spec;
    let coverage = Coverage::new(&spec.tls, &spec.rules);
    let mut secrets = Secrets {
        inputs,
        read: BTreeMap::new(),
        judged: BTreeSet::new(),
    };
    let mut certificates = Certificates::new();
    let mut applied = BTreeSet::new();
    let mut bare = None;
    for (index, (rule, hosts)) in spec.rules.iter().zip(&coverage.rules).enumerate() {
        let covering = coverage.covering(hosts);
        applied.extend(covering.iter().copied());
        let external = !owned.of(Side::External, index).is_empty();
        if covering.is_empty() && external && bare.is_none() {
            bare = Some(index);
        }
        let mut shown = None;
        for entry in covering {
            let certificate = secrets.certificate(entry, hosts, rejections);
            shown = shown.or(certificate);
        }
        let Some(certificate) = shown else { continue };
        for side in sides(&rule.visibility) {
            for host in owned.of(*side, index) {
                let of_side = certificates.entry(*side).or_default();
                of_side.insert(host, certificate.clone());
            }
        }
    }
    for (index, tls) in spec.tls.iter().enumerate() {
        if !applied.contains(&index) {
            rejections.add(not_applied(index, tls, coverage.partly(index)));
        }
    }
    if let Some(rule) = bare.filter(|_| spec.http_option.redirects()) {
        rejections.add(not_redirected(rule));
    }
    certificates
}

/// Which `tls` entry names which hosts, all folded; those that cannot be read
/// stand as they are.
struct Coverage {
    entries: Vec<BTreeSet<String>>,
    rules: Vec<Vec<String>>,
    /// Entries by host.
    entries_of: BTreeMap<String, Vec<usize>>,
    /// The first rule that names a host.
    rule_of: BTreeMap<String, usize>,
}

impl Coverage {
    fn new(tls: &[crds::IngressTls], rules: &[crds::IngressRule]) -> Self {
        let fold = |text: &String| {
            let host = Host::parse(text);
            host.map_or_else(|_| text.clone(), |host| host.to_string())
        };
        let entries = tls.iter().map(|tls| tls.hosts.iter().map(fold).collect());
        let rules = rules
            .iter()
            .map(|rule| rule.hosts.iter().map(fold).collect());
        let mut coverage = Self {
            entries: entries.collect(),
            rules: rules.collect(),
            entries_of: BTreeMap::new(),
            rule_of: BTreeMap::new(),
        };
        for (index, hosts) in coverage.entries.iter().enumerate() {
            for host in hosts {
                let of_host = coverage.entries_of.entry(host.clone()).or_default();
                of_host.push(index);
            }
        }
        for (index, hosts) in coverage.rules.iter().enumerate() {
            for host in hosts {
                coverage.rule_of.entry(host.clone()).or_insert(index);
            }
        }
        coverage
    }

    /// The entries that name all these hosts, in the manifest's order.
    fn covering(&self, hosts: &[String]) -> Vec<usize> {
        let candidates = hosts.first().and_then(|first| self.entries_of.get(first));
        let covers = |entry: &usize| {
            let listed = self.entries.get(*entry);
            listed.is_some_and(|listed| hosts.iter().all(|host| listed.contains(host)))
        };
        candidates
            .into_iter()
            .flatten()
            .copied()
            .filter(covers)
            .collect()
    }

    /// A rule that an entry covers in part, and a host of it that it leaves out.
    fn partly(&self, entry: usize) -> Option<(usize, &str)> {
        let listed = self.entries.get(entry)?;
        let rule = listed
            .iter()
            .filter_map(|host| self.rule_of.get(host))
            .min()?;
        let left_out = self
            .rules
            .get(*rule)?
            .iter()
            .find(|host| !listed.contains(*host))?;
        Some((*rule, left_out))
    }
}

/// The Secrets that `tls` names, each read once.
struct Secrets<'a> {
    inputs: &'a Inputs<'a>,
    read: BTreeMap<&'a str, Result<Readable, Unusable>>,
    /// Entries that were judged already, for the rules before.
    judged: BTreeSet<usize>,
}

impl<'a> Secrets<'a> {
    /// The certificate of one entry for the hosts of one rule, `None` where it
    /// has none that a gateway would take.
    fn certificate(
        &mut self,
        entry: usize,
        hosts: &[String],
        rejections: &mut Rejections,
    ) -> Option<Certificate> {
        let inputs = self.inputs;
        let tls = inputs.ingress.spec.tls.get(entry)?;
        let first = self.judged.insert(entry);
        let namespace = &inputs.ingress.metadata.namespace;
        let field = format!("spec.tls[{entry}].secretName");
        if tls.secret_namespace != *namespace {
            if first {
                rejections.add(rejection(
                    Reason::CrossNamespaceSecret,
                    format!("spec.tls[{entry}].secretNamespace"),
                    format!("namespace {}", quote(&tls.secret_namespace)),
                    format!("the Ingress's namespace {}", quote(namespace)),
                    "put the Secret into the Ingress's own namespace",
                ));
            }
            return None;
        }
        let Some(secret) = inputs.secrets.get(tls.secret_name.as_str()) else {
            if first {
                rejections.add(rejection(
                    Reason::SecretMissing,
                    field,
                    format!(
                        "Secret {}, which does not exist in namespace {}",
                        quote(&tls.secret_name),
                        quote(namespace)
                    ),
                    "a Secret of that namespace",
                    "create the Secret, or correct the name",
                ));
            }
            return None;
        };
        let read = self
            .read
            .entry(&tls.secret_name)
            .or_insert_with(|| certificate::read(secret));
        match read {
            Ok(readable) => {
                if first {
                    judge_time(readable, inputs, &field, rejections);
                }
                judge_names(readable, hosts, &field, rejections);
                Some(readable.certificate.clone())
            }
            Err(unusable) => {
                if first {
                    rejections.add(rejection(
                        unusable.reason,
                        field,
                        format!("Secret {} with {}", quote(&tls.secret_name), unusable.found),
                        unusable.expected,
                        unusable.fix,
                    ));
                }
                None
            }
        }
    }
}

fn judge_time(readable: &Readable, inputs: &Inputs<'_>, field: &str, rejections: &mut Rejections) {
    let (reason, found, fix) = if inputs.now > readable.not_after {
        (
            Reason::CertificateExpired,
            format!("a certificate that was valid until {}", readable.not_after),
            "renew the certificate",
        )
    } else if inputs.now < readable.not_before {
        (
            Reason::CertificateNotYetValid,
            format!("a certificate that is valid from {}", readable.not_before),
            "check the clock of the issuer, or wait",
        )
    } else {
        return;
    };
    let expected = "a certificate that is valid now";
    rejections.add(rejection(reason, field, found, expected, fix));
}

fn judge_names(readable: &Readable, hosts: &[String], field: &str, rejections: &mut Rejections) {
    const SHOWN: usize = 5;
    let covered = |host: &String| readable.names.iter().any(|name| covers(name, host));
    let Some(host) = hosts.iter().find(|host| !covered(host)) else {
        return;
    };
    let mut names: Vec<String> = readable
        .names
        .iter()
        .take(SHOWN)
        .map(|n| quote(n))
        .collect();
    if readable.names.len() > SHOWN {
        names.push("…".to_owned());
    }
    let found = if names.is_empty() {
        "a certificate without DNS names".to_owned()
    } else {
        format!("a certificate for {}", names.join(", "))
    };
    rejections.add(rejection(
        Reason::CertificateHostMismatch,
        field,
        found,
        format!("one for {}", quote(host)),
        "ask the issuer for a certificate with that name; clients refuse this one",
    ));
}

fn not_applied(index: usize, tls: &crds::IngressTls, partly: Option<(usize, &str)>) -> Rejection {
    let field = format!("spec.tls[{index}].hosts");
    match partly {
        Some((rule, left_out)) => rejection(
            Reason::TlsNotApplied,
            field,
            format!("not all hosts of {}", AtRule(rule)),
            format!("{} as well", quote(left_out)),
            "list all hosts of the rule, or give the host a rule of its own; \
             until then the rule has no certificate",
        ),
        None => rejection(
            Reason::TlsNotApplied,
            field,
            match tls.hosts.first() {
                None => "no hosts".to_owned(),
                Some(host) => format!("host {}, which no rule names", quote(host)),
            },
            "all hosts of a rule",
            "correct the hosts; until then the certificate is not used",
        ),
    }
}

fn not_redirected(rule: usize) -> Rejection {
    rejection(
        Reason::TlsNotApplied,
        "spec.httpOption",
        format!(
            "Redirected, where no tls entry names all hosts of {}",
            AtRule(rule)
        ),
        "a certificate for each host that is redirected",
        "add a tls entry with all hosts of the rule; until then plain HTTP is served",
    )
}

#[cfg(test)]
mod tests;
