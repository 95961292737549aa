use sluice_ir::Outcome;

use super::*;
use crate::fixture::{
    Around, ingress, metadata, path, plan, port, reasons, rejection, rule, service, split,
    translated,
};

/// A Secret with a certificate for these names.
fn secret(name: &str, names: &[&str]) -> crds::Secret {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let value = |text: String| crds::SecretValue::from(text);
    crds::Secret {
        metadata: metadata(name),
        string_data: BTreeMap::from([
            ("tls.crt".into(), value(made.cert.pem())),
            ("tls.key".into(), value(made.signing_key.serialize_pem())),
        ]),
        ..crds::Secret::default()
    }
}

fn entry(hosts: &[&str], secret: &str) -> crds::IngressTls {
    crds::IngressTls {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        secret_name: secret.into(),
        secret_namespace: crate::fixture::NAMESPACE.into(),
    }
}

fn tls(rules: &[&[&str]], entries: &[crds::IngressTls]) -> crds::Ingress {
    let rules: Vec<crds::IngressRule> = rules
        .iter()
        .map(|hosts| rule(hosts, &[path("", &[split("hello", 100)])]))
        .collect();
    let mut ingress = ingress("tls", &rules);
    ingress.spec.tls = entries.to_vec();
    ingress
}

fn around(secrets: Vec<crds::Secret>) -> Around<'static> {
    Around {
        services: vec![service("hello", &[port("http", 80)])],
        secrets,
        ..Around::default()
    }
}

fn redirected(mut ingress: crds::Ingress) -> crds::Ingress {
    ingress.spec.http_option = crds::HttpOption(crds::HttpOption::REDIRECTED.into());
    ingress
}

/// Hosts with the Secret that each shows on the external side.
fn shown(ingress: &crds::Ingress, around: &Around<'_>) -> Vec<(String, String)> {
    let plan = plan(ingress, around);
    let hosts = plan.certificates.get(&Side::External).into_iter().flatten();
    hosts
        .map(|(host, certificate)| (host.to_string(), certificate.secret.name.clone()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let expected = expected.iter();
    expected
        .map(|(host, secret)| ((*host).to_owned(), (*secret).to_owned()))
        .collect()
}

#[test]
fn a_rule_is_covered_whole_or_not_at_all() {
    let around = around(vec![secret("one", &["a.x", "b.x", "c.x"])]);
    let of = |hosts: &[&str]| {
        let ingress = tls(&[&["a.x", "b.x"], &["c.x"]], &[entry(hosts, "one")]);
        shown(&ingress, &around)
    };
    assert!(of(&["a.x"]).is_empty());
    assert!(of(&["b.x"]).is_empty());
    assert_eq!(
        of(&["b.x", "a.x"]),
        pairs(&[("a.x", "one"), ("b.x", "one")])
    );
    assert_eq!(of(&["a.x", "c.x"]), pairs(&[("c.x", "one")]));
    let all = pairs(&[("a.x", "one"), ("b.x", "one"), ("c.x", "one")]);
    assert_eq!(of(&["c.x", "b.x", "a.x", "d.x"]), all);
}

#[test]
fn hosts_are_compared_as_gateways_fold_them() {
    let around = around(vec![secret("one", &["a.x"])]);
    let ingress = tls(&[&["A.x"]], &[entry(&["a.X."], "one")]);
    assert_eq!(shown(&ingress, &around), pairs(&[("a.x", "one")]));
    let unreadable = tls(&[&["a.x", "*.x"]], &[entry(&["a.x", "*.x"], "one")]);
    assert_eq!(shown(&unreadable, &around), pairs(&[("a.x", "one")]));
    let uncovered = tls(&[&["a.x", "*.x"]], &[entry(&["a.x"], "one")]);
    assert!(shown(&uncovered, &around).is_empty());
}

#[test]
fn the_first_usable_entry_serves() {
    let around = around(vec![secret("one", &["a.x"]), secret("two", &["a.x"])]);
    let of = |names: &[&str]| {
        let entries: Vec<_> = names.iter().map(|name| entry(&["a.x"], name)).collect();
        shown(&tls(&[&["a.x"]], &entries), &around)
    };
    assert_eq!(of(&["one", "two"]), pairs(&[("a.x", "one")]));
    assert_eq!(of(&["two", "one"]), pairs(&[("a.x", "two")]));
    assert_eq!(of(&["gone", "two"]), pairs(&[("a.x", "two")]));
    assert!(of(&["gone"]).is_empty());
}

#[test]
fn a_secret_of_another_namespace_is_not_looked_at() {
    let around = around(vec![secret("one", &["a.x"])]);
    let mut foreign = entry(&["a.x"], "one");
    foreign.secret_namespace = "other".into();
    let ingress = tls(&[&["a.x"]], &[foreign]);
    assert!(shown(&ingress, &around).is_empty());
    let translation = translated(&ingress, &around);
    assert_eq!(rejection(&translation).reason, Reason::CrossNamespaceSecret);
    assert_eq!(rejection(&translation).field, "spec.tls[0].secretNamespace");
}

#[test]
fn one_entry_for_many_rules_is_blamed_once() {
    let ingress = tls(&[&["a.x"], &["b.x"]], &[entry(&["a.x", "b.x"], "gone")]);
    let translation = translated(&ingress, &around(vec![]));
    assert_eq!(rejection(&translation).reason, Reason::SecretMissing);
}

#[test]
fn names_are_judged_for_each_rule() {
    let around = around(vec![secret("one", &["a.x"])]);
    let ingress = tls(
        &[&["a.x"], &["b.x"], &["c.x"]],
        &[entry(&["a.x", "b.x", "c.x"], "one")],
    );
    let translation = translated(&ingress, &around);
    assert_eq!(reasons(&translation), [Reason::CertificateHostMismatch; 2]);
    assert_eq!(translation.verdict.outcome, Outcome::Accepted);
    assert_eq!(shown(&ingress, &around).len(), 3);
}

#[test]
fn a_certificate_is_valid_at_both_of_its_ends() {
    // Translations are made at the first of June.
    for (day, reason) in [
        ((2026, 6, 1), None),
        ((2026, 5, 31), Some(Reason::CertificateExpired)),
        ((2026, 6, 2), Some(Reason::CertificateNotYetValid)),
    ] {
        let (year, month, day) = day;
        let moment = rcgen::date_time_ymd(year, month, day);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["a.x".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (moment, moment);
        let mut secret = secret("one", &["a.x"]);
        let pem = params.self_signed(&key).unwrap().pem();
        secret.string_data = BTreeMap::from([
            ("tls.crt".into(), crds::SecretValue::from(pem)),
            (
                "tls.key".into(),
                crds::SecretValue::from(key.serialize_pem()),
            ),
        ]);
        let ingress = tls(&[&["a.x"]], &[entry(&["a.x"], "one")]);
        let translation = translated(&ingress, &around(vec![secret]));
        assert_eq!(reasons(&translation), Vec::from_iter(reason));
    }
}

#[test]
fn of_many_names_the_first_five_are_shown() {
    for (names, is_cut) in [(5, false), (6, true)] {
        let names: Vec<String> = (0..names).map(|n| format!("n{n}.x")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ingress = tls(&[&["a.x"]], &[entry(&["a.x"], "one")]);
        let translation = translated(&ingress, &around(vec![secret("one", &names)]));
        let found = &rejection(&translation).found;
        assert!(found.contains("n4.x") && !found.contains("n5.x"), "{found}");
        assert_eq!(found.contains('…'), is_cut, "{found}");
    }
}

#[test]
fn a_host_without_certificate_is_not_redirected() {
    let around = around(vec![secret("one", &["a.x", "b.x"])]);
    let redirects = |ingress: &crds::Ingress, side| -> Vec<bool> {
        let plan = plan(ingress, &around);
        plan.sides[&side].iter().map(|host| host.redirect).collect()
    };
    let ingress = tls(&[&["a.x"], &["b.x"]], &[entry(&["a.x"], "one")]);
    assert_eq!(redirects(&ingress, Side::External), [false, false]);
    let ingress = redirected(ingress);
    assert_eq!(redirects(&ingress, Side::External), [true, false]);
    assert_eq!(redirects(&ingress, Side::Internal), [false, false]);
    let translation = translated(&ingress, &around);
    assert_eq!(rejection(&translation).field, "spec.httpOption");
    assert!(rejection(&translation).found.contains("spec.rules[1]"));
}

#[test]
fn a_redirect_of_local_rules_alone_needs_no_certificate() {
    let local = crate::fixture::local(rule(&["a.x"], &[path("", &[split("hello", 100)])]));
    let translation = translated(&redirected(ingress("tls", &[local])), &around(vec![]));
    assert_eq!(translation.verdict.outcome, Outcome::Accepted);
    assert!(translation.verdict.rejections.is_empty());
}
