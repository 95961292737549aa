//! Faults that refuse the whole generation: what Knative's own validation would
//! not admit, and what cannot be planned at all.

use sluice_crds as crds;
use sluice_crds::{FaultKind, FieldFault};
use sluice_ir::Reason;

use crate::field::{AtRule, shorten};
use crate::rejections::{Rejections, rejection};

/// Notes every refusing fault of a spec; none means that it can be planned.
pub(crate) fn check(ingress: &crds::Ingress, rejections: &mut Rejections) {
    for fault in ingress.validate() {
        let (reason, fix) = match fault.kind {
            FaultKind::Missing => (Reason::InvalidSpec, "fill in the field"),
            FaultKind::Invalid => (Reason::InvalidSpec, "correct the field"),
            // On which side the rule stands cannot be guessed.
            FaultKind::UnknownVisibility => (Reason::InvalidSpec, "correct the field"),
            FaultKind::PercentSum => (
                Reason::PercentSum,
                "change percent of the splits so that they sum to 100",
            ),
            FaultKind::ForeignNamespace => (
                Reason::CrossNamespaceBackend,
                "name a Service of the Ingress's own namespace",
            ),
            // Knative admits it; the split alone has no backend.
            FaultKind::ImpossiblePort => continue,
        };
        let FieldFault {
            field,
            found,
            expected,
            ..
        } = fault;
        rejections.add(rejection(reason, field, shorten(found), expected, fix));
    }
    for (index, rule) in ingress.spec.rules.iter().enumerate() {
        if rule.hosts.is_empty() {
            rejections.add(rejection(
                Reason::HostRequired,
                format!("{}.hosts", AtRule(index)),
                "no hosts",
                "at least one host",
                "list each host that the rule serves; a rule for all hosts is not supported",
            ));
        }
    }
}

#[cfg(test)]
mod tests;
