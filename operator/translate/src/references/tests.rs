use super::*;
use crate::fixture::{config, host, ingress, local, path, rule, split};

fn names(hosts: &[Host]) -> Vec<String> {
    hosts.iter().map(Host::to_string).collect()
}

#[test]
fn short_forms_are_those_of_names_in_this_cluster() {
    let of = |text| names(&short_forms(&host(text), &config()));
    assert_eq!(of("a.ns.svc.cluster.local"), ["a.ns.svc", "a.ns"]);
    assert_eq!(of("t.a.ns.svc.cluster.local"), ["t.a.ns.svc", "t.a.ns"]);
    // It would read as an address.
    assert_eq!(of("a.123.svc.cluster.local"), ["a.123.svc"]);
    for text in [
        "a.ns.svc",
        "a.ns",
        "a.ns.cluster.local",
        "a.ns.svc.cluster.local.example.com",
        "a.nssvc.cluster.local",
        "svc.cluster.local",
        "a.ns.svc.xcluster.local",
    ] {
        assert!(of(text).is_empty(), "{text}");
    }
    let other = Config {
        cluster_suffix: "Corp.Internal".into(),
        ..config()
    };
    let forms = short_forms(&host("a.ns.svc.corp.internal"), &other);
    assert_eq!(names(&forms), ["a.ns.svc", "a.ns"]);
}

#[test]
fn names_what_can_be_looked_up_and_nothing_else() {
    let mut foreign = split("theirs", 50);
    foreign.service_namespace = "other".into();
    let mut rewriting = path("", &[split("ours", 50), foreign, split("", 0)]);
    rewriting.rewrite_host = "Target.X".into();
    let mut broken = path("", &[]);
    broken.rewrite_host = "not a host".into();
    let mut ingress = ingress(
        "hello",
        &[
            rule(&["a.x", "*.x"], &[rewriting, broken]),
            local(rule(&["b.x"], &[])),
        ],
    );
    ingress.spec.tls = [("ours", "default"), ("theirs", "other"), ("", "default")]
        .map(|(name, namespace)| crds::IngressTls {
            hosts: Vec::new(),
            secret_name: name.into(),
            secret_namespace: namespace.into(),
        })
        .into();
    let ours = BTreeSet::from([ObjectKey::new("default", "ours")]);
    assert_eq!(
        references(&ingress, &config()),
        References {
            services: ours.clone(),
            secrets: ours,
            claims: BTreeSet::from([
                (Side::External, host("a.x")),
                (Side::Internal, host("a.x")),
                (Side::Internal, host("b.x")),
            ]),
            rewrites: BTreeSet::from([host("target.x")]),
        }
    );
}

#[test]
fn what_stands_on_no_known_side_claims_inside_only() {
    let mut unknown = rule(&["a.x"], &[]);
    unknown.visibility = crds::Visibility("Public".into());
    let found = references(&ingress("hello", &[unknown]), &config());
    assert_eq!(
        found.claims,
        BTreeSet::from([(Side::Internal, host("a.x"))])
    );
}

#[test]
fn the_rule_of_a_host_is_the_one_that_serves_it() {
    let full = "A.default.svc.cluster.local.";
    let ingress = ingress(
        "hello",
        &[
            local(rule(&["b.default.svc.cluster.local"], &[])),
            rule(&["c.x"], &[]),
            local(rule(&["x.y", full], &[])),
            local(rule(&["a.default", "c.x"], &[])),
            local(rule(&["a.default"], &[])),
        ],
    );
    let of = |side, text| {
        let rules = rules_by_host(&ingress, side, &config());
        rules.get(&host(text)).copied()
    };
    assert_eq!(of(Side::Internal, "a.default.svc.cluster.local"), Some(2));
    assert_eq!(of(Side::Internal, "a.default.svc"), Some(2));
    assert_eq!(of(Side::Internal, "a.default"), Some(3));
    assert_eq!(of(Side::Internal, "b.default"), Some(0));
    assert_eq!(of(Side::Internal, "c.x"), Some(1));
    assert_eq!(of(Side::External, "c.x"), Some(1));
    assert_eq!(of(Side::External, "x.y"), None);
    assert_eq!(of(Side::Internal, "a.defaul"), None);
    assert_eq!(of(Side::Internal, "d.x"), None);
}
