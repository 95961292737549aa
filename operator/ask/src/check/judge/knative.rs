//! Knative Serving, and its settings.

use super::super::{Facts, Severity};
use super::{Findings, minor};
use crate::explain::CLASS;
use crate::object::Object;

/// Minors of Knative Serving 1 whose Ingresses Sluice reads.
const MINORS: std::ops::RangeInclusive<u32> = 15..=23;
/// What Knative Serving cannot do without.
const DEPLOYMENTS: [&str; 4] = ["activator", "autoscaler", "controller", "webhook"];

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let controller = facts.serving.iter().find(|one| one.name() == "controller");
    let Some(controller) = controller.filter(|_| facts.kinds) else {
        let found = match (facts.kinds, facts.serving.is_empty()) {
            (false, true) => "Knative Serving is not there",
            (false, false) => "Knative's kinds are not there, though its namespace has Deployments",
            (true, _) => {
                "Knative's kinds are there, and namespace knative-serving has no Deployment controller"
            }
        };
        let fix = "sluice install knative".to_owned();
        let severity = if facts.pre {
            Severity::Ok
        } else {
            Severity::Problem
        };
        findings.add("SLC0301", severity, found.to_owned(), Some(fix));
        return;
    };
    findings.ok("SLC0301", "Knative Serving is there");
    version(controller, findings);
    deployments(facts, findings);
    if facts.pre {
        return;
    }
    class(facts, findings);
    domain(facts, findings);
}

fn version(controller: &Object, findings: &mut Findings) {
    let version = controller
        .label("app.kubernetes.io/version")
        .unwrap_or_default();
    let (oldest, newest) = (MINORS.start(), MINORS.end());
    match minor(version) {
        Some((1, minor)) if MINORS.contains(&minor) => {
            findings.ok("SLC0302", format!("Knative Serving is {version}"));
        }
        Some(found) => findings.problem(
            "SLC0302",
            format!("Knative Serving is {version}; Sluice reads 1.{oldest} to 1.{newest}"),
            if found < (1, *oldest) {
                "upgrade Knative, one minor at a time"
            } else {
                "take a newer version of sluice"
            },
        ),
        None => findings.warning(
            "SLC0302",
            format!("Knative Serving says version {version:?}, which cannot be compared"),
            format!("make sure that it is 1.{oldest} to 1.{newest}"),
        ),
    }
}

fn deployments(facts: &Facts, findings: &mut Findings) {
    let mut all = true;
    for name in DEPLOYMENTS {
        let found = facts.serving.iter().find(|one| one.name() == name);
        let available = found.and_then(|one| one.number("/status/availableReplicas"));
        if available.unwrap_or_default() > 0 {
            continue;
        }
        all = false;
        let state = if found.is_some() {
            "has no available pod"
        } else {
            "is not there"
        };
        findings.problem(
            "SLC0303",
            format!("deployment knative-serving/{name} {state}"),
            format!("kubectl -n knative-serving describe pods -l app={name}"),
        );
    }
    if all {
        findings.ok("SLC0303", format!("available: {}", DEPLOYMENTS.join(", ")));
    }
}

fn class(facts: &Facts, findings: &mut Findings) {
    let value = |key: &str| {
        let data = facts.network.as_ref()?.0.get("data")?;
        data.get(key)?.as_str()
    };
    let set = format!(
        r#"kubectl -n knative-serving patch configmap config-network --type merge -p '{{"data":{{"ingress-class":"{CLASS}"}}}}'"#
    );
    let (dash, dotted) = (value("ingress-class"), value("ingress.class"));
    match dash {
        Some(CLASS) => findings.ok(
            "SLC0401",
            format!("config-network ingress-class is {CLASS}"),
        ),
        Some(other) => findings.problem(
            "SLC0401",
            format!(
                "config-network ingress-class is {other}: what Knative makes is for that ingress"
            ),
            set,
        ),
        None if dotted == Some(CLASS) => findings.warning(
            "SLC0401",
            "config-network has Sluice's class under the old key ingress.class alone",
            set,
        ),
        None => findings.problem(
            "SLC0401",
            "config-network has no ingress-class: what Knative makes is for Istio",
            set,
        ),
    }
    match dotted {
        Some(_) if dash.is_none() => findings.warning(
            "SLC0402",
            "config-network has the old key ingress.class, and no ingress-class",
            "do as SLC0401 says, then remove the old key",
        ),
        Some(dotted) if Some(dotted) != dash => findings.warning(
            "SLC0402",
            format!("config-network has ingress.class {dotted} too, an old key that ingress-class overrules"),
            r#"kubectl -n knative-serving patch configmap config-network --type json -p '[{"op":"remove","path":"/data/ingress.class"}]'"#,
        ),
        Some(_) => findings.ok("SLC0402", "config-network has the old key ingress.class, with the same class"),
        None => findings.ok("SLC0402", "config-network has no old key ingress.class"),
    }
}

fn domain(facts: &Facts, findings: &mut Findings) {
    let data = facts
        .domain
        .as_ref()
        .and_then(|one| one.0.get("data")?.as_object());
    // A domain with a selector is for some.
    let for_all = data.into_iter().flatten().find(|(domain, value)| {
        let value = value.as_str().unwrap_or_default();
        *domain != "_example" && value.trim().is_empty()
    });
    let set = r#"kubectl -n knative-serving patch configmap config-domain --type merge -p '{"data":{"YOUR.DOMAIN":""}}'"#;
    match for_all.map(|(domain, _)| domain.as_str()) {
        None => findings.warning(
            "SLC0403",
            "config-domain has no domain for all: Knative Services are reached inside the cluster alone",
            set,
        ),
        Some("example.com") => findings.warning(
            "SLC0403",
            "config-domain has example.com, which nobody reaches by DNS",
            set,
        ),
        Some(domain) => findings.ok("SLC0403", format!("config-domain has {domain}")),
    }
}
