use sluice_ir::Outcome;

use super::*;
use crate::fixture::{config, host, ingress, local, path, rule, split};

fn settled(
    rules: &[crds::IngressRule],
    owners: &[(Side, &str, Ownership)],
) -> (OwnedHosts, sluice_ir::Verdict) {
    let ingress = ingress("hello", rules);
    let config = config();
    let owners = owners.iter();
    let inputs = Inputs {
        ingress: &ingress,
        config: &config,
        now: jiff::Timestamp::UNIX_EPOCH,
        services: BTreeMap::new(),
        secrets: BTreeMap::new(),
        owners: owners
            .map(|(side, text, ownership)| ((*side, host(text)), ownership.clone()))
            .collect(),
        targets: BTreeMap::new(),
    };
    let mut rejections = Rejections::default();
    let owned = settle(&inputs, &mut rejections);
    (owned, rejections.into_verdict())
}

fn on(owned: &OwnedHosts, side: Side, rule: usize) -> Vec<String> {
    let hosts = owned.of(side, rule).into_iter();
    hosts.map(|host| host.to_string()).collect()
}

fn of(hosts: &[&str]) -> crds::IngressRule {
    rule(hosts, &[path("", &[split("hello", 100)])])
}

fn conflict(owner: &str) -> Ownership {
    Ownership::Conflict {
        owner: owner.parse().unwrap(),
    }
}

#[test]
fn an_external_rule_stands_on_both_sides() {
    let (owned, verdict) = settled(&[of(&["a.x"]), local(of(&["b.x"]))], &[]);
    assert_eq!(on(&owned, Side::External, 0), ["a.x"]);
    assert_eq!(on(&owned, Side::Internal, 0), ["a.x"]);
    assert!(on(&owned, Side::External, 1).is_empty());
    assert_eq!(on(&owned, Side::Internal, 1), ["b.x"]);
    assert_eq!(verdict.outcome, Outcome::Accepted);
    let by_side = owned.by_side();
    assert_eq!(by_side[&Side::External].len(), 1);
    assert_eq!(by_side[&Side::Internal].len(), 2);
}

#[test]
fn short_forms_follow_their_full_name() {
    let full = "a.default.svc.cluster.local";
    let (owned, verdict) = settled(&[of(&[full])], &[]);
    for side in Side::ALL {
        assert_eq!(on(&owned, side, 0), ["a.default", "a.default.svc", full]);
    }
    assert!(verdict.rejections.is_empty());
}

#[test]
fn short_forms_of_a_name_that_is_lost_are_not_taken() {
    let full = "a.victim.svc.cluster.local";
    let foreign = Ownership::Foreign {
        namespace: "victim".into(),
    };
    let (owned, verdict) = settled(&[local(of(&[full]))], &[(Side::Internal, full, foreign)]);
    assert!(on(&owned, Side::Internal, 0).is_empty());
    assert_eq!(verdict.rejections.len(), 1);
    assert_eq!(verdict.rejections[0].reason, Reason::ForeignLocalName);
}

#[test]
fn a_short_form_that_another_ingress_has_is_told() {
    let full = "a.default.svc.cluster.local";
    let (owned, verdict) = settled(
        &[local(of(&[full]))],
        &[(Side::Internal, "a.default", conflict("default/old"))],
    );
    assert_eq!(on(&owned, Side::Internal, 0), ["a.default.svc", full]);
    let found = &verdict.rejections[0].found;
    assert!(found.starts_with("host \"a.default\", short for \"a.default.svc.cluster.local\""));
    assert_eq!(verdict.rejections[0].field, "spec.rules[0].hosts[0]");
}

#[test]
fn a_named_host_goes_before_a_short_form_whatever_the_order() {
    let full = "a.default.svc.cluster.local";
    for (short_rule, full_rule) in [(0, 1), (1, 0)] {
        let mut rules = [local(of(&["a.default"])), local(of(&[full]))];
        if short_rule == 1 {
            rules.reverse();
        }
        let (owned, verdict) = settled(&rules, &[]);
        assert_eq!(on(&owned, Side::Internal, short_rule), ["a.default"]);
        assert_eq!(
            on(&owned, Side::Internal, full_rule),
            ["a.default.svc", full]
        );
        assert!(verdict.rejections.is_empty());
    }
}

#[test]
fn a_conflict_names_its_side_unless_it_is_everywhere() {
    let (owned, verdict) = settled(
        &[of(&["a.x"])],
        &[(Side::External, "a.x", conflict("b/old"))],
    );
    assert!(on(&owned, Side::External, 0).is_empty());
    assert_eq!(on(&owned, Side::Internal, 0), ["a.x"]);
    let found = |verdict: &sluice_ir::Verdict| -> Vec<String> {
        let rejections = verdict.rejections.iter();
        rejections
            .map(|rejection| rejection.found.clone())
            .collect()
    };
    let line = "host \"a.x\", which belongs to Ingress b/old";
    assert_eq!(found(&verdict), [format!("{line} on the external side")]);
    let both = [Side::External, Side::Internal].map(|side| (side, "a.x", conflict("b/old")));
    assert_eq!(found(&settled(&[of(&["a.x"])], &both).1), [line]);
    let mut two = both;
    two[1].2 = conflict("c/old");
    assert_eq!(found(&settled(&[of(&["a.x"])], &two).1).len(), 2);
    // A local rule stands on one side only.
    let inside = [(Side::Internal, "a.x", conflict("b/old"))];
    assert_eq!(found(&settled(&[local(of(&["a.x"]))], &inside).1), [line]);
}

#[test]
fn the_first_rule_has_a_host() {
    let rules = [of(&["a.x"]), of(&["b.x", "A.X."]), local(of(&["a.x"]))];
    let (owned, verdict) = settled(&rules, &[]);
    assert_eq!(on(&owned, Side::External, 0), ["a.x"]);
    assert_eq!(on(&owned, Side::External, 1), ["b.x"]);
    assert!(on(&owned, Side::Internal, 2).is_empty());
    let fields: Vec<&str> = verdict
        .rejections
        .iter()
        .map(|r| r.field.as_str())
        .collect();
    assert_eq!(fields, ["spec.rules[1].hosts[1]", "spec.rules[2].hosts[0]"]);
    assert!(
        verdict
            .rejections
            .iter()
            .all(|r| r.reason == Reason::DuplicateHost)
    );
    // A host that the first rule lost to another Ingress is not the second's.
    let lost = [Side::External, Side::Internal].map(|side| (side, "a.x", conflict("b/old")));
    let (owned, _) = settled(&[of(&["a.x"]), of(&["a.x"])], &lost);
    assert!(owned.by_side().is_empty());
}
