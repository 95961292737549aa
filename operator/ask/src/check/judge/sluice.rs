//! Sluice itself, its Ingresses, and other ingresses.

use std::collections::BTreeMap;

use super::super::Facts;
use super::{Findings, SHOWN};
use crate::explain::{CLASS, CLASS_KEY};
use crate::object::Object;
use crate::page::GatewayState;

/// A certificate that is valid for less is told of.
const DAYS: i64 = 14;
const DAY: i64 = 24 * 60 * 60;

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    operator(facts, findings);
    gateways(facts, findings);
    address(facts, findings);
    ingresses(facts, findings);
    certificates(facts, findings);
}

fn operator(facts: &Facts, findings: &mut Findings) {
    let Some(operator) = &facts.operator else {
        return;
    };
    let logs = format!(
        "kubectl -n {} logs deployment/sluice-operator --tail=50",
        facts.system
    );
    if operator.leads {
        findings.ok(
            "SLC0501",
            format!("{} leads, version {}", operator.name, operator.version),
        );
    } else {
        findings.problem(
            "SLC0501",
            format!(
                "{} answers, and no operator leads: nothing becomes Ready",
                operator.name
            ),
            logs.as_str(),
        );
    }
    let mut wrong = operator
        .missing
        .iter()
        .chain(&operator.complaints)
        .peekable();
    if wrong.peek().is_none() {
        findings.ok("SLC0502", "it has all that it reads");
    }
    for what in wrong {
        findings.problem("SLC0502", what.as_str(), logs.as_str());
    }
}

fn gateways(facts: &Facts, findings: &mut Findings) {
    let (Some(gateways), Some(refusals)) = (&facts.gateways, &facts.refusals) else {
        return;
    };
    let system = &facts.system;
    let ready = gateways
        .gateways
        .iter()
        .filter(|one| one.ready && !one.terminating)
        .count();
    let pods = format!("kubectl -n {system} describe pods -l app=sluice-gateway");
    match ready {
        0 => findings.problem("SLC0503", "no gateway is ready: nothing is served", pods),
        1 => findings.warning(
            "SLC0503",
            "1 gateway is ready: where it ends, nothing is served",
            format!("kubectl -n {system} describe hpa sluice-gateway; its minReplicas is how many there are in a while"),
        ),
        many => findings.ok("SLC0503", format!("{many} gateways are ready")),
    }
    let mut behind = 0;
    for gateway in &gateways.gateways {
        if gateway.state == GatewayState::Synced || !gateway.required {
            continue;
        }
        behind += 1;
        let due: usize = gateway.types.values().map(|of| of.due).sum();
        let pod = gateway.name.rsplit('/').next().unwrap_or_default();
        findings.problem(
            "SLC0504",
            format!(
                "gateway {} is {:?}: {due} resources are due",
                gateway.name, gateway.state
            ),
            format!("sluice status; kubectl -n {system} logs {pod} -c companion --tail=50"),
        );
    }
    if behind == 0 && !gateways.gateways.is_empty() {
        findings.ok(
            "SLC0504",
            format!("all hold revision {}", gateways.revision),
        );
    }
    for refused in refusals.refusals.iter().take(SHOWN) {
        let whose = refused.ingress.as_ref();
        let whose = whose.map_or_else(String::new, |key| format!(" of ingress {key}"));
        findings.problem(
            "SLC0505",
            format!(
                "{} refused {} {}{whose}: {}",
                refused.gateway, refused.kind, refused.name, refused.detail
            ),
            "sluice status; the Ingress has an Event that names the field",
        );
    }
    if refusals.refusals.is_empty() {
        findings.ok("SLC0505", "nothing was refused");
    }
}

fn address(facts: &Facts, findings: &mut Findings) {
    let system = &facts.system;
    let Some(service) = &facts.service else {
        findings.problem(
            "SLC0506",
            format!("service {system}/sluice is not there"),
            "apply the manifest of this version of Sluice again",
        );
        return;
    };
    let balancers = service.list("/status/loadBalancer/ingress").iter();
    let addresses: Vec<&str> = balancers
        .filter_map(|one| one["ip"].as_str().or_else(|| one["hostname"].as_str()))
        .collect();
    if !addresses.is_empty() {
        findings.ok(
            "SLC0506",
            format!("service {system}/sluice is at {}", addresses.join(" ")),
        );
        return;
    }
    let ports: Vec<String> = service
        .list("/spec/ports")
        .iter()
        .filter_map(|port| {
            Some(format!(
                "{} for {}",
                port["nodePort"].as_u64()?,
                port["port"].as_u64()?
            ))
        })
        .collect();
    let kind = service.text("/spec/type");
    let found = match kind {
        "LoadBalancer" => {
            format!("service {system}/sluice has no address: no balancer gave it one")
        }
        other => {
            format!("service {system}/sluice is of type {other}: it has no address of its own")
        }
    };
    let fix = if ports.is_empty() {
        format!(
            "kubectl -n {system} patch service sluice -p '{{\"spec\":{{\"type\":\"LoadBalancer\"}}}}'"
        )
    } else {
        format!(
            "point a balancer at any node, port {}; or install one, such as MetalLB",
            ports.join(", ")
        )
    };
    findings.warning("SLC0506", found, fix);
}

fn is_ours(ingress: &&Object) -> bool {
    ingress.annotation(CLASS_KEY) == Some(CLASS)
}

fn ingresses(facts: &Facts, findings: &mut Findings) {
    let mut waiting: BTreeMap<String, String> = BTreeMap::new();
    let mut all = 0;
    for ingress in facts.ingresses.iter().filter(is_ours) {
        all += 1;
        if !ingress.is_ready() {
            waiting.insert(ingress.key(), ingress.told());
        }
    }
    // The operator knows more than the status says.
    for ingress in facts.judged.iter().flat_map(|page| &page.ingresses) {
        let told: Vec<String> = ingress
            .waits_for
            .iter()
            .map(crate::page::Awaited::told)
            .chain(ingress.rejections.iter().map(crate::page::Rejection::told))
            .collect();
        if !ingress.is_ready() && !told.is_empty() {
            waiting.insert(ingress.key(), told.join("; "));
        }
    }
    if waiting.is_empty() {
        findings.ok("SLC0601", format!("{all} of {all} are Ready"));
    }
    let more = waiting.len().saturating_sub(SHOWN);
    for (key, why) in waiting.into_iter().take(SHOWN) {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        let fix = format!("sluice explain -n {namespace} ingress/{name}");
        findings.problem("SLC0601", format!("ingress {key}: {why}"), fix);
    }
    if more > 0 {
        findings.problem(
            "SLC0601",
            format!("{more} more are not Ready"),
            "sluice status",
        );
    }
}

fn certificates(facts: &Facts, findings: &mut Findings) {
    let mut soonest = None;
    let mut wrong = false;
    for certificate in &facts.certificates {
        let (namespace, _) = certificate.secret.split_once('/').unwrap_or_default();
        let named = format!(
            "secret {}, named by ingress {},",
            certificate.secret, certificate.ingress
        );
        let renew = format!(
            "kubectl -n {namespace} describe kcert,certificate; renew it where you keep it yourself"
        );
        let Some(not_after) = certificate.not_after else {
            wrong = true;
            findings.problem(
                "SLC0602",
                format!("{named} is not there, or has no certificate"),
                renew,
            );
            continue;
        };
        let days = (not_after - facts.now).div_euclid(DAY);
        soonest = Some(soonest.map_or(days, |soonest: i64| soonest.min(days)));
        if days < 0 {
            wrong = true;
            findings.problem(
                "SLC0602",
                format!("{named} expired {} days ago", -days),
                renew,
            );
        } else if days < DAYS {
            wrong = true;
            findings.warning("SLC0602", format!("{named} expires in {days} days"), renew);
        }
    }
    match (wrong, soonest) {
        (true, _) => {}
        (false, None) => findings.ok("SLC0602", "no Ingress names a certificate"),
        (false, Some(days)) => findings.ok(
            "SLC0602",
            format!(
                "{} are valid, for {days} days or more",
                facts.certificates.len()
            ),
        ),
    }
}

/// Who else is there: nothing is wrong with that.
pub(super) fn others(facts: &Facts, findings: &mut Findings) {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for ingress in facts.ingresses.iter().filter(|one| !is_ours(one)) {
        *classes
            .entry(ingress.annotation(CLASS_KEY).unwrap_or("no class"))
            .or_default() += 1;
    }
    let classes: Vec<String> = classes
        .iter()
        .map(|(class, count)| format!("{count} of {class}"))
        .collect();
    let found = if classes.is_empty() {
        "no Ingress is of another class".to_owned()
    } else {
        format!("left alone: {}", classes.join(", "))
    };
    findings.ok("SLC0603", found);
    let mut names: Vec<String> = facts
        .providers
        .iter()
        .filter_map(|one| {
            let provider = one.label("networking.knative.dev/ingress-provider")?;
            (provider != "sluice").then(|| format!("{provider} ({})", one.key()))
        })
        .collect();
    names.sort();
    let found = if names.is_empty() {
        "no other ingress is installed".to_owned()
    } else {
        format!("installed too: {}", names.join(", "))
    };
    findings.ok("SLC0604", found);
}
