//! What each fact means.

mod knative;
mod sluice;

use super::{CODES, Facts, Finding, Right, Severity};

/// The oldest minor of Kubernetes 1 with `sleep` as a hook and scaling by container.
const KUBERNETES: u32 = 30;
/// Findings of one code beyond these are counted.
pub(super) const SHOWN: usize = 20;

/// What is found, code by code.
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, code: &'static str, severity: Severity, found: String, fix: Option<String>) {
        let group = CODES.iter().find(|one| one.code == code);
        self.0.push(Finding {
            code,
            group: group.map_or("", |one| one.group),
            severity,
            found,
            fix,
        });
    }

    fn ok(&mut self, code: &'static str, found: impl Into<String>) {
        self.add(code, Severity::Ok, found.into(), None);
    }

    fn warning(&mut self, code: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.add(code, Severity::Warning, found.into(), Some(fix.into()));
    }

    fn problem(&mut self, code: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.add(code, Severity::Problem, found.into(), Some(fix.into()));
    }
}

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    api(facts, &mut findings);
    if facts.kubernetes.is_none() {
        return findings.0;
    }
    rights(facts, &mut findings);
    knative::judge(facts, &mut findings);
    if !facts.pre {
        sluice::judge(facts, &mut findings);
    }
    sluice::others(facts, &mut findings);
    // What nobody could look at is no finding of anything.
    findings
        .0
        .retain(|finding| !facts.unread.contains_key(finding.code));
    for code in &CODES {
        if let Some(why) = facts.unread.get(code.code) {
            let severity = if code.code == "SLC0501" {
                Severity::Problem
            } else {
                Severity::Skipped
            };
            findings.add(code.code, severity, format!("{}: {why}", code.what), None);
        }
    }
    findings.0
}

fn api(facts: &Facts, findings: &mut Findings) {
    let Some(version) = &facts.kubernetes else {
        let why = facts
            .unread
            .get("SLC0101")
            .map_or("no answer", String::as_str);
        findings.problem(
            "SLC0101",
            format!("{} does not answer: {why}", facts.url),
            "kubectl cluster-info; name another cluster by --context",
        );
        return;
    };
    findings.ok("SLC0101", format!("{} answers", facts.url));
    match minor(version) {
        Some((major, minor)) if (major, minor) < (1, KUBERNETES) => findings.problem(
            "SLC0102",
            format!("Kubernetes is {version}; Sluice needs 1.{KUBERNETES}"),
            "upgrade Kubernetes, one minor at a time",
        ),
        Some(_) => findings.ok("SLC0102", format!("Kubernetes is {version}")),
        None => findings.warning(
            "SLC0102",
            format!("Kubernetes says version {version:?}, which cannot be compared"),
            format!("make sure that it is 1.{KUBERNETES} or newer"),
        ),
    }
}

/// Major and minor of `v1.36.3`, or of what begins like it.
fn minor(version: &str) -> Option<(u32, u32)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn rights(facts: &Facts, findings: &mut Findings) {
    let code = if facts.pre { "SLC0202" } else { "SLC0201" };
    // One line for all verbs on one thing.
    let mut missing: Vec<(&Right, Vec<&str>)> = Vec::new();
    for right in facts.rights.iter().filter(|right| !right.allowed) {
        let same = |other: &Right| {
            (&other.group, &other.resource, &other.namespace, &other.name)
                == (&right.group, &right.resource, &right.namespace, &right.name)
        };
        match missing.iter_mut().find(|(other, _)| same(other)) {
            Some((_, verbs)) => verbs.push(&right.verb),
            None => missing.push((right, vec![&right.verb])),
        }
    }
    let none = missing.is_empty();
    for (right, verbs) in missing {
        let dot = if right.group.is_empty() { "" } else { "." };
        let resource = match right.resource.split_once('/') {
            Some((resource, sub)) => format!("{resource}{dot}{}/{sub}", right.group),
            None => format!("{}{dot}{}", right.resource, right.group),
        };
        let name = right
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(" {name}"));
        let (place, fix) = match &right.namespace {
            Some(namespace) => (
                format!("in namespace {namespace}"),
                format!("kubectl -n {namespace} create rolebinding sluice-status --role=sluice-status --user=YOU"),
            ),
            None if facts.pre => (
                "in all namespaces".to_owned(),
                "kubectl create clusterrolebinding YOU-install --clusterrole=cluster-admin --user=YOU".to_owned(),
            ),
            None => (
                "in all namespaces".to_owned(),
                "kubectl create clusterrolebinding YOU-view --clusterrole=view --user=YOU".to_owned(),
            ),
        };
        let found = format!("you may not {} {resource}{name} {place}", verbs.join(", "));
        if facts.pre {
            findings.problem(code, found, fix);
        } else {
            findings.warning(code, found, fix);
        }
    }
    if none {
        let all = facts.rights.len();
        let what = if facts.pre { "install" } else { "ask" };
        findings.ok(code, format!("you may {what}: all {all} rights"));
    }
}
