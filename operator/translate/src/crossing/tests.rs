use proptest::prelude::*;
use sluice_crds as crds;
use sluice_ir::{Backend, Discovery, Plan, Reason, Side, Split};

use super::*;
use crate::fixture::{
    Around, gateway, host, ingress, local, matches, path, plan, port, rejection, rule, service,
    split, texts, translated,
};

const TARGET: &str = "hello.default.svc.cluster.local";

/// What a backend, or a client, gets to see.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Status(u16),
    Backend {
        name: String,
        host: String,
        headers: Headers,
    },
}

#[derive(Clone, Debug)]
struct Request {
    path: String,
    headers: Headers,
}

/// A gateway as Envoy behaves: first match, the route's headers, then the split's.
fn serve(routes: &[Route], request: &Request) -> Result<(Headers, Option<String>, Split), Answer> {
    let takes = |route: &&Route| {
        let headers = route.headers.iter();
        request.path.starts_with(&route.prefix)
            && headers.fold(true, |all, (name, value)| {
                all && request.headers.get(name) == Some(value)
            })
    };
    let route = routes.iter().find(takes).ok_or(Answer::Status(404))?;
    match &route.action {
        Action::Respond { status, .. } => Err(Answer::Status(*status)),
        Action::Forward {
            host_rewrite,
            set_headers,
            splits,
        } => {
            let split = splits[0].clone();
            let mut headers = request.headers.clone();
            headers.extend(set_headers.clone());
            headers.extend(split.set_headers.clone());
            Ok((headers, host_rewrite.clone(), split))
        }
    }
}

fn entered(mut headers: Headers) -> Headers {
    headers.retain(|name, _| !removed_at_entry(name));
    headers
}

fn routes(plan: &Plan, side: Side) -> &[Route] {
    &plan.sides[&side][0].routes
}

/// One request through a mapping, and on through the target where the mapping
/// leads to the private gateway.
fn follow(mapping: &Plan, target: &Plan, request: &Request) -> Answer {
    let request = Request {
        headers: entered(request.headers.clone()),
        ..request.clone()
    };
    let (headers, host, split) = match serve(routes(mapping, Side::External), &request) {
        Ok(forwarded) => forwarded,
        Err(answer) => return answer,
    };
    let answer = |headers, host: Option<String>, split: Split| match split.backend {
        Backend::Cluster(port) => Answer::Backend {
            name: port.service.name,
            host: host.unwrap_or_else(|| "www.shop.example".into()),
            headers,
        },
        Backend::Unavailable(_) => Answer::Status(503),
    };
    let leads_back = matches!(&split.backend, Backend::Cluster(port)
        if matches!(mapping.clusters[port].discovery, Discovery::Dns { .. }));
    if !leads_back {
        return answer(headers, host, split);
    }
    let inner = Request {
        headers: entered(headers),
        ..request
    };
    match serve(routes(target, Side::Internal), &inner) {
        Ok((headers, inner_host, split)) => answer(headers, inner_host.or(host), split),
        Err(answer) => answer,
    }
}

fn services() -> Vec<crds::Service> {
    let mut services: Vec<crds::Service> = ["a", "b", "c"]
        .map(|name| service(name, &[port("http", 80)]))
        .into();
    services.push(gateway("map"));
    services
}

fn around<'a>(target: &'a crds::Ingress) -> Around<'a> {
    Around {
        services: services(),
        targets: BTreeMap::from([(
            host(TARGET),
            Target::Rule {
                ingress: target,
                rule: 0,
            },
        )]),
        ..Around::default()
    }
}

/// The same mapping with a second split, which keeps it from being crossed, and
/// no test request ever takes.
fn uncrossed(mapping: &crds::Ingress) -> crds::Ingress {
    let mut mapping = mapping.clone();
    let paths = &mut mapping.spec.rules[0].http.as_mut().unwrap().paths;
    for path in paths
        .iter_mut()
        .filter(|path| !path.rewrite_host.is_empty())
    {
        path.splits[0].percent = 99;
        path.splits.push(split("a", 1));
    }
    mapping
}

fn prefix() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "/", "/a", "/a/b", "/b"])
}

fn header() -> impl Strategy<Value = (String, String)> {
    let name = prop::sample::select(vec![
        "x-one",
        "x-two",
        "knative-serving-tag",
        "knative-serving-revision",
    ]);
    let value = prop::sample::select(vec!["1", "2"]);
    (name, value).prop_map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn headers(most: usize) -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(header().prop_map(|(name, _)| name), "[12]", 0..=most)
}

fn some_path(rewrites: bool) -> impl Strategy<Value = crds::HttpIngressPath> {
    let service = prop::sample::select(vec!["a", "b", "c", "gone"]);
    (
        prefix(),
        headers(1),
        headers(2),
        headers(2),
        service,
        any::<bool>(),
    )
        .prop_map(move |(prefix, matched, set, split_set, service, rewrite)| {
            let rewrite = rewrites && rewrite;
            let mut split = split(if rewrite { "map" } else { service }, 100);
            split.append_headers = split_set;
            let mut path = path(prefix, &[split]);
            path.append_headers = set;
            path.headers = matched
                .into_iter()
                .map(|(name, exact)| (name, crds::HeaderMatch { exact }))
                .collect();
            if rewrite {
                path.rewrite_host = TARGET.into();
            }
            path
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// The promise of the whole module: whatever two Ingresses say, a request
    /// gets the same answer, at the same backend with the same headers and host.
    #[test]
    fn one_hop_and_two_hops_are_equal(
        outer in prop::collection::vec(some_path(true), 1..4),
        inner in prop::collection::vec(some_path(false), 1..4),
        requests in prop::collection::vec(
            (prop::sample::select(vec!["/", "/a", "/a/b/c", "/b", "/c"]), headers(3)), 1..8),
    ) {
        let target = ingress("target", &[local(rule(&[TARGET], &inner))]);
        let mapping = ingress("mapping", &[rule(&["www.shop.example"], &outer)]);
        let around = around(&target);
        let one_hop = plan(&mapping, &around);
        let two_hops = plan(&uncrossed(&mapping), &around);
        let target = plan(&target, &around);
        for cluster in one_hop.clusters.values() {
            prop_assert_eq!(&cluster.discovery, &Discovery::Endpoints);
        }
        for (path, headers) in requests {
            let request = Request { path: path.into(), headers };
            prop_assert_eq!(
                follow(&one_hop, &target, &request),
                follow(&two_hops, &target, &request),
                "{:?}", request
            );
        }
    }
}

fn mapping_path() -> crds::HttpIngressPath {
    let mut path = path("", &[split("map", 100)]);
    path.rewrite_host = TARGET.into();
    path
}

#[test]
fn many_paths_on_both_sides_stay_with_two_hops() {
    let paths = |count: usize| -> Vec<crds::HttpIngressPath> {
        (0..count)
            .map(|index| path(&format!("/{index}"), &[split("a", 100)]))
            .collect()
    };
    let target = ingress("target", &[local(rule(&[TARGET], &paths(999)))]);
    let mut outer = vec![mapping_path(); 11];
    for (index, path) in outer.iter_mut().enumerate() {
        path.headers = matches([("x-n", index.to_string().as_str())]);
    }
    let mapping = ingress("mapping", &[rule(&["www.shop.example"], &outer)]);
    let plan = plan(&mapping, &around(&target));
    // Ten times a thousand are crossed, the eleventh goes by the gateway.
    assert_eq!(routes(&plan, Side::External).len(), 10 * 1000 + 1);
    let dns = |cluster: &&Cluster| matches!(cluster.discovery, Discovery::Dns { .. });
    assert_eq!(plan.clusters.values().filter(dns).count(), 1);
    // Each crossing also ends in a route of its own: a hundred of a hundred are all
    // that there may be, and one more is one too many.
    let target = ingress("target", &[local(rule(&[TARGET], &paths(99)))]);
    for (count, by_two_hops) in [(100, 0), (101, 1)] {
        let mut outer = vec![mapping_path(); count];
        for (index, path) in outer.iter_mut().enumerate() {
            path.headers = matches([("x-n", index.to_string().as_str())]);
        }
        let mapping = ingress("mapping", &[rule(&["www.shop.example"], &outer)]);
        let plan = crate::fixture::plan(&mapping, &around(&target));
        let found = plan.clusters.values().filter(dns).count();
        assert_eq!(found, by_two_hops, "{count}");
        let found = routes(&plan, Side::External).len();
        assert_eq!(found, 100 * 100 + by_two_hops, "{count}");
    }
}

#[test]
fn a_port_of_the_rewrite_is_what_the_backend_sees() {
    let target = ingress(
        "target",
        &[local(rule(&[TARGET], &[path("", &[split("a", 100)])]))],
    );
    let mut path = mapping_path();
    path.rewrite_host = "Hello.default.svc.cluster.local.:8080".into();
    let plan = plan(
        &ingress("mapping", &[rule(&["www.shop.example"], &[path])]),
        &around(&target),
    );
    let Action::Forward { host_rewrite, .. } = &routes(&plan, Side::External)[0].action else {
        panic!("not forwarded");
    };
    let expected = format!("{TARGET}:8080");
    assert_eq!(host_rewrite.as_deref(), Some(expected.as_str()));
}

#[test]
fn a_rule_that_is_gone_is_a_target_that_is_absent() {
    let target = ingress("target", &[]);
    let mut around = around(&target);
    let mapping = ingress("mapping", &[rule(&["www.shop.example"], &[mapping_path()])]);
    // Refused, since it has no rules.
    let plan_of = |around: &Around<'_>| plan(&mapping, around);
    let status = |plan: &Plan| match &routes(plan, Side::External)[0].action {
        Action::Respond { status, .. } => *status,
        Action::Forward { .. } => panic!("forwarded"),
    };
    assert_eq!(status(&plan_of(&around)), 503);
    let served = ingress(
        "target",
        &[rule(&["x.example.com"], &[path("", &[split("a", 100)])])],
    );
    let beyond = Target::Rule {
        ingress: &served,
        rule: 1,
    };
    around.targets = BTreeMap::from([(host(TARGET), beyond)]);
    assert_eq!(status(&plan_of(&around)), 404);
    around.targets = BTreeMap::from([(host(TARGET), Target::Absent)]);
    assert_eq!(status(&plan_of(&around)), 404);
    around.targets = BTreeMap::new();
    assert_eq!(status(&plan_of(&around)), 404);
}

#[test]
fn a_mapping_keeps_its_own_challenge_open_and_not_the_targets() {
    let challenge = "/.well-known/acme-challenge/x";
    let inner = [
        path(challenge, &[split("a", 100)]),
        path("", &[split("b", 100)]),
    ];
    let target = ingress("target", &[local(rule(&[TARGET], &inner))]);
    let mut own = mapping_path();
    own.path = challenge.into();
    let outer = [own, mapping_path()];
    let mapping = ingress("mapping", &[rule(&["www.shop.example"], &outer)]);
    let plan = plan(&mapping, &around(&target));
    let kept: Vec<(usize, bool)> = routes(&plan, Side::External)
        .iter()
        .map(|route| (route.path, route.keeps_http))
        .collect();
    assert_eq!(kept, [(0, true), (1, false), (1, false)]);
}

#[test]
fn what_the_mapping_does_wrong_is_its_own_fault() {
    let target = ingress(
        "target",
        &[local(rule(&[TARGET], &[path("", &[split("a", 100)])]))],
    );
    let mut path = mapping_path();
    path.append_headers = texts([("Host", "x")]);
    let mapping = ingress("mapping", &[rule(&["www.shop.example"], &[path])]);
    let translation = translated(&mapping, &around(&target));
    assert_eq!(rejection(&translation).reason, Reason::InvalidHeaderName);
}
