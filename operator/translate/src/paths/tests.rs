use sluice_ir::{Backend, Outcome, Side};

use super::*;
use crate::fixture::{
    Around, external, gateway, ingress, path, plan, port, reasons, rejection, rule, service, split,
    texts, translated,
};

const HOST: &str = "hello.example.com";

fn around() -> Around<'static> {
    Around {
        services: vec![
            service("hello", &[port("http", 80)]),
            gateway("map"),
            external("metadata", "169.254.169.254"),
        ],
        ..Around::default()
    }
}

fn one(path: crds::HttpIngressPath) -> crds::Ingress {
    ingress("hello", &[rule(&[HOST], &[path])])
}

fn actions(ingress: &crds::Ingress) -> Vec<Action> {
    let plan = plan(ingress, &around());
    let routes = plan.sides[&Side::External][0].routes.iter();
    routes.map(|route| route.action.clone()).collect()
}

#[test]
fn a_prefix_is_what_a_request_path_starts_with() {
    for text in [
        "/",
        "/a",
        "/a//b",
        "/%20",
        "/a;b=c,d",
        "/~!$&'()*+@:\"<>\\^`{|}",
        "/../a",
    ] {
        let plan = plan(&one(path(text, &[split("hello", 100)])), &around());
        assert_eq!(plan.sides[&Side::External][0].routes[0].prefix, text);
    }
    for text in [
        "a", " /a", "*", "/a?b", "/a#b", "/a b", "/a\tb", "/a\nb", "/ä", "/\0", "/\x7f",
    ] {
        let translation = translated(&one(path(text, &[split("hello", 100)])), &around());
        assert_eq!(
            rejection(&translation).reason,
            Reason::InvalidPath,
            "{text:?}"
        );
        assert_eq!(translation.verdict.outcome, Outcome::Partial);
        assert!(actions(&one(path(text, &[split("hello", 100)]))).is_empty());
    }
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(
        actions(&one(path(&long(61_440), &[split("hello", 100)]))).len(),
        1
    );
    assert!(actions(&one(path(&long(61_441), &[split("hello", 100)]))).is_empty());
}

#[test]
fn faults_of_a_path_that_nothing_matches_are_told_as_well() {
    let mut both = path("no-slash", &[split("gone", 100)]);
    both.headers = crate::fixture::matches([("a b", "x")]);
    let translation = translated(&one(both), &around());
    assert_eq!(
        reasons(&translation),
        [
            Reason::InvalidHeaderName,
            Reason::InvalidPath,
            Reason::ServiceMissing
        ]
    );
}

#[test]
fn only_a_challenge_keeps_plain_http() {
    for (text, keeps) in [
        ("/.well-known/acme-challenge/token", true),
        ("/.well-known/acme-challenge/", true),
        ("/.well-known/acme-challenge", false),
        ("/.well-known/", false),
        ("/", false),
        ("/x/.well-known/acme-challenge/token", false),
    ] {
        let plan = plan(&one(path(text, &[split("hello", 100)])), &around());
        let route = &plan.sides[&Side::External][0].routes[0];
        assert_eq!(route.keeps_http, keeps, "{text}");
    }
}

#[test]
fn a_rewrite_to_an_ordinary_backend_stays_as_written() {
    for text in ["Api.Example.com", "api.example.com:8080", "10.0.0.1", "a_b"] {
        let mut path = path("", &[split("hello", 100)]);
        path.rewrite_host = text.into();
        let Action::Forward { host_rewrite, .. } = &actions(&one(path))[0] else {
            panic!("not forwarded");
        };
        assert_eq!(host_rewrite.as_deref(), Some(text));
    }
    for text in [
        "a b",
        "*.example.com",
        "https://a",
        "a/b",
        ":80",
        "ä.com",
        "a\r\nb: c",
        "[::1]",
    ] {
        let mut path = path("", &[split("hello", 100)]);
        path.rewrite_host = text.into();
        let ingress = one(path);
        assert!(
            matches!(actions(&ingress)[0], Action::Respond { status: 503, .. }),
            "{text:?}"
        );
        let translation = translated(&ingress, &around());
        assert_eq!(rejection(&translation).reason, Reason::InvalidRewriteHost);
    }
}

#[test]
fn a_thousand_splits_are_a_hundred_shares_at_most() {
    let mut splits: Vec<_> = (0..1_000).map(|_| split("gone", 0)).collect();
    for split in splits.iter_mut().skip(450).take(100) {
        split.percent = 1;
        split.service_name = "hello".into();
    }
    let ingress = one(path("", &splits));
    let Action::Forward { splits, .. } = &actions(&ingress)[0] else {
        panic!("not forwarded");
    };
    assert_eq!(splits.len(), 100);
    assert_eq!(
        translated(&ingress, &around()).verdict.outcome,
        Outcome::Accepted
    );
}

#[test]
fn a_share_without_backend_sets_no_headers_and_keeps_its_size() {
    let mut bad = split("hello", 30);
    bad.append_headers = texts([("a b", "x")]);
    let mut gone = split("gone", 20);
    gone.append_headers = texts([("x-a", "1")]);
    let Action::Forward { splits, .. } =
        &actions(&one(path("", &[bad, gone, split("hello", 50)])))[0]
    else {
        panic!("not forwarded");
    };
    let shares: Vec<(u8, bool, usize)> = splits
        .iter()
        .map(|split| {
            let serves = matches!(split.backend, Backend::Cluster(_));
            (split.percent, serves, split.set_headers.len())
        })
        .collect();
    assert_eq!(shares, [(30, false, 0), (20, false, 0), (50, true, 0)]);
}

#[test]
fn clusters_are_those_that_routes_name() {
    let mut path_with_fault = path("/x", &[split("hello", 100)]);
    path_with_fault.append_headers = texts([("Host", "x")]);
    let plan_of = |path| plan(&one(path), &around());
    assert!(plan_of(path_with_fault).clusters.is_empty());
    assert!(
        plan_of(path("", &[split("metadata", 100)]))
            .clusters
            .is_empty()
    );
    assert_eq!(plan_of(path("", &[split("hello", 100)])).clusters.len(), 1);
}

#[test]
fn the_gateway_is_no_backend_without_a_rewrite() {
    let mut back = split("map", 40);
    back.append_headers = texts([("x-a", "1")]);
    let ingress = one(path("", &[split("hello", 60), back]));
    let translation = translated(&ingress, &around());
    let loops = rejection(&translation);
    assert_eq!(loops.reason, Reason::RewriteLoop);
    assert_eq!(
        loops.field,
        "spec.rules[0].http.paths[0].splits[1].serviceName"
    );
    let Action::Forward { splits, .. } = &actions(&ingress)[0] else {
        panic!("not forwarded");
    };
    assert!(matches!(splits[0].backend, Backend::Cluster(_)));
    assert!(matches!(splits[1].backend, Backend::Unavailable(_)));
    assert!(splits[1].set_headers.is_empty());
}
