//! The codes: each means the same for ever, and none is given twice.

use crate::table::{columns, row};

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `SLC` and four digits: two of the group, two of the check.
    pub code: &'static str,
    /// The group.
    pub group: &'static str,
    /// What is looked at.
    pub what: &'static str,
}

const fn code(code: &'static str, group: &'static str, what: &'static str) -> Code {
    Code { code, group, what }
}

/// All of them.
pub const CODES: [Code; 20] = [
    code("SLC0101", "api", "the API server answers"),
    code("SLC0102", "api", "Kubernetes is 1.30 or newer"),
    code("SLC0201", "rights", "who asks may ask: each verb by itself"),
    code(
        "SLC0202",
        "rights",
        "who asks may install (--pre): each verb by itself",
    ),
    code(
        "SLC0301",
        "knative",
        "the kinds and the controllers of Knative Serving are there",
    ),
    code("SLC0302", "knative", "Knative Serving is 1.15 to 1.23"),
    code("SLC0303", "knative", "each of its Deployments is available"),
    code(
        "SLC0401",
        "settings",
        "config-network ingress-class is Sluice's",
    ),
    code(
        "SLC0402",
        "settings",
        "config-network has no stale key ingress.class",
    ),
    code("SLC0403", "settings", "config-domain has a domain for all"),
    code("SLC0501", "sluice", "an operator is ready, and answers"),
    code(
        "SLC0502",
        "sluice",
        "the operator misses nothing, and no watch of its fails",
    ),
    code("SLC0503", "sluice", "there are two gateways or more"),
    code("SLC0504", "sluice", "each gateway holds all that it should"),
    code("SLC0505", "sluice", "no gateway refused anything"),
    code("SLC0506", "sluice", "the Service sluice has an address"),
    code(
        "SLC0601",
        "ingresses",
        "each Ingress of Sluice's class is Ready",
    ),
    code(
        "SLC0602",
        "ingresses",
        "certificates are valid for 14 days or more",
    ),
    code(
        "SLC0603",
        "ingresses",
        "Ingresses of other classes, which are left alone",
    ),
    code("SLC0604", "ingresses", "other ingresses that are installed"),
];

/// The codes for people.
#[must_use]
pub fn table() -> String {
    let mut rows = vec![row(["CODE", "GROUP", "WHAT IS LOOKED AT"])];
    rows.extend(
        CODES
            .iter()
            .map(|code| row([code.code, code.group, code.what])),
    );
    columns(&rows, "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn codes_are_in_order_and_say_their_group() {
        let mut groups = BTreeMap::new();
        for pair in CODES.windows(2) {
            assert!(pair[0].code < pair[1].code, "{}", pair[1].code);
        }
        for code in CODES {
            assert_eq!(code.code.len(), "SLC0101".len());
            let group = groups.entry(&code.code[..5]).or_insert(code.group);
            assert_eq!(*group, code.group, "{}", code.code);
        }
    }
}
