//! Routes: one path of a rule as the routes that serve it.

use std::time::Duration;

use sluice_ir::{Action, Backend, Headers, Route, Split};

use crate::answer::{self, Code};
use crate::edge::ProbeKey;
use crate::shape::Shape;
use crate::{name, pb};

/// The header by which a prober asks which generation answers, and by which it
/// is told. A client's `override` is replaced by the hash of the generation, any
/// other value passes through.
const HASH_HEADER: &str = "k-network-hash";
const HASH_ASKED: &str = "override";

/// The header that tells a probe from a request of the application's own.
const PROBE_HEADER: &str = "k-network-probe";
const PROBE_ASKED: &str = "probe";

/// The header whose secret value makes the gateway answer a probe itself.
const PROBE_KEY_HEADER: &str = "x-sluice-probe";

/// The routes of one path: its probe twin, then itself.
pub(crate) fn routes(route: &Route, hash: &str, shape: &mut Shape) -> [pb::Route; 2] {
    note(route, shape);
    let own_match = matcher(&route.prefix, &route.headers);
    let mut twin_match = own_match.clone();
    twin_match.headers.push(header_is(HASH_HEADER, HASH_ASKED));
    let (own, mut twin) = match &route.action {
        Action::Forward {
            host_rewrite,
            set_headers,
            splits,
        } => {
            let host = host_rewrite.as_deref();
            let mut twin_headers = set_headers.clone();
            twin_headers.insert(HASH_HEADER.to_owned(), hash.to_owned());
            let mut twin_splits = splits.clone();
            for split in &mut twin_splits {
                split.set_headers.remove(HASH_HEADER);
            }
            (
                forward(own_match, host, set_headers, splits),
                forward(twin_match, host, &twin_headers, &twin_splits),
            )
        }
        Action::Respond { status, reason } => (
            answer::respond(own_match, *status, reason),
            answer::respond(twin_match, *status, reason),
        ),
    };
    // No backend is there to echo the hash.
    if let Some(pb::Action::DirectResponse(_)) = twin.action {
        twin.response_headers_to_add
            .push(pb::set_header(HASH_HEADER, hash));
    }
    [
        pb::Route {
            name: format!("path-{}-probe", route.path),
            ..twin
        },
        pb::Route {
            name: format!("path-{}", route.path),
            ..own
        },
    ]
}

/// Answers a probe by itself, where no route would: the gateway serves this
/// generation, whatever its backends do.
pub(crate) fn probe(hash: &str) -> pb::Route {
    let asked = vec![
        header_is(PROBE_HEADER, PROBE_ASKED),
        header_is(HASH_HEADER, HASH_ASKED),
    ];
    answer_with_hash("probe", asked, hash)
}

/// Answers a probe that knows the key by itself, whatever routes there are.
pub(crate) fn own_probe(key: &ProbeKey, hash: &str) -> pb::Route {
    let asked = vec![header_is(PROBE_KEY_HEADER, key.as_str())];
    answer_with_hash("own-probe", asked, hash)
}

fn answer_with_hash(name: &str, asked: Vec<pb::HeaderMatcher>, hash: &str) -> pb::Route {
    let mut any_path = matcher("/", &Headers::new());
    any_path.headers = asked;
    pb::Route {
        name: name.to_owned(),
        r#match: Some(any_path),
        response_headers_to_add: vec![pb::set_header(HASH_HEADER, hash)],
        action: Some(pb::Action::DirectResponse(pb::DirectResponseAction {
            status: 200,
            ..pb::DirectResponseAction::default()
        })),
        ..pb::Route::default()
    }
}

/// Restricts a route to requests that came by plain HTTP. The header is the
/// gateway's own word: `use_remote_address` overwrites what a client sends.
pub(crate) fn only_plain_http(mut route: pb::Route) -> pb::Route {
    if let Some(own_match) = &mut route.r#match {
        own_match
            .headers
            .push(header_is("x-forwarded-proto", "http"));
    }
    route
}

/// Sends plain HTTP requests that a route would match to HTTPS. The host stands
/// in the answer without the port of the request; `https_port` 443 is not named.
pub(crate) fn redirect(prefix: &str, headers: &Headers, host: &str, https_port: u16) -> pb::Route {
    only_plain_http(pb::Route {
        name: "redirect".to_owned(),
        r#match: Some(matcher(prefix, headers)),
        response_headers_to_add: vec![answer::reason_header(
            Code::HttpsRequired,
            "this host is served by HTTPS",
        )],
        action: Some(pb::Action::Redirect(pb::RedirectAction {
            host_redirect: host.to_owned(),
            port_redirect: if https_port == 443 {
                0
            } else {
                https_port.into()
            },
            response_code: pb::RedirectResponseCode::MovedPermanently.into(),
            scheme_rewrite_specifier: Some(pb::SchemeRewriteSpecifier::HttpsRedirect(true)),
            ..pb::RedirectAction::default()
        })),
        ..pb::Route::default()
    })
}

/// Repeats on another host what was never sent: a refused or failed connection,
/// a refused stream. Never an answer, not even a 503.
pub(crate) fn retry_policy() -> pb::RetryPolicy {
    pb::RetryPolicy {
        retry_on: "connect-failure,refused-stream,reset-before-request".to_owned(),
        num_retries: pb::uint32(3),
        retry_host_predicate: vec![pb::RetryHostPredicate {
            name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
            config_type: Some(pb::retry_host_predicate::ConfigType::TypedConfig(pb::any(
                &pb::PreviousHostsPredicate {},
            ))),
        }],
        host_selection_retry_max_attempts: 5,
        retry_back_off: Some(pb::RetryBackOff {
            base_interval: pb::duration(Duration::from_millis(5)),
            max_interval: pb::duration(Duration::from_millis(50)),
        }),
        ..pb::RetryPolicy::default()
    }
}

/// A literal path prefix, and headers that must be present with exactly these
/// values.
pub(crate) fn matcher(prefix: &str, headers: &Headers) -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(pb::PathSpecifier::Prefix(prefix.to_owned())),
        headers: headers
            .iter()
            .map(|(name, value)| header_is(name, value))
            .collect(),
        ..pb::RouteMatch::default()
    }
}

/// `GET` of exactly one path.
pub(crate) fn get(path: &str) -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(pb::PathSpecifier::Path(path.to_owned())),
        headers: vec![header_is(":method", "GET")],
        ..pb::RouteMatch::default()
    }
}

/// A header that must be present with exactly this value.
pub(crate) fn header_is(name: &str, value: &str) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(pb::HeaderMatchSpecifier::StringMatch(pb::exact(value))),
        ..pb::HeaderMatcher::default()
    }
}

fn forward(
    own_match: pb::RouteMatch,
    host_rewrite: Option<&str>,
    set_headers: &Headers,
    splits: &[Split],
) -> pb::Route {
    if let Some(reason) = nobody(splits) {
        return answer::respond(own_match, 503, &reason);
    }
    let single = splits.len() == 1;
    let (common, own) = headers_by_split(set_headers, splits);
    let cluster_specifier = if let [split] = splits {
        pb::ClusterSpecifier::Cluster(cluster_name(&split.backend))
    } else {
        pb::ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: splits
                .iter()
                .zip(&own)
                .map(|(split, own)| weight(split, own))
                .collect(),
            ..pb::WeightedCluster::default()
        })
    };
    let mut set: Vec<_> = set_each(&common);
    if single {
        set.extend(own.iter().flat_map(set_each));
    }
    pb::Route {
        r#match: Some(own_match),
        request_headers_to_add: set,
        action: Some(pb::Action::Route(pb::RouteAction {
            // Revisions bound their own requests; the gateway never does.
            timeout: pb::duration(Duration::ZERO),
            cluster_specifier: Some(cluster_specifier),
            host_rewrite_specifier: host_rewrite
                .map(|host| pb::HostRewriteSpecifier::HostRewriteLiteral(host.to_owned())),
            ..pb::RouteAction::default()
        })),
        ..pb::Route::default()
    }
}

/// Why nobody answers any share, if so; told apart from one share of several.
fn nobody(splits: &[Split]) -> Option<String> {
    let mut reasons: Vec<&str> = Vec::new();
    for split in splits {
        match &split.backend {
            Backend::Cluster(_) => return None,
            Backend::Unavailable(reason) if reasons.contains(&reason.as_str()) => {}
            Backend::Unavailable(reason) => reasons.push(reason),
        }
    }
    Some(reasons.join("; "))
}

fn cluster_name(backend: &Backend) -> String {
    match backend {
        Backend::Cluster(service_port) => name::cluster(service_port),
        Backend::Unavailable(_) => name::UNAVAILABLE_CLUSTER.to_owned(),
    }
}

fn weight(split: &Split, own: &Headers) -> pb::ClusterWeight {
    let unavailable = match &split.backend {
        Backend::Cluster(_) => None,
        Backend::Unavailable(reason) => Some(answer::reason_header(Code::NotServed, reason)),
    };
    pb::ClusterWeight {
        name: cluster_name(&split.backend),
        weight: pb::uint32(split.percent.into()),
        request_headers_to_add: set_each(own),
        response_headers_to_add: unavailable.into_iter().collect(),
        ..pb::ClusterWeight::default()
    }
}

/// Headers that all splits set alike, and what each sets on its own. Envoy lets
/// the route overwrite its weighted cluster, Knative the split its path: so a
/// header that any split sets stands at every split and not at the route.
fn headers_by_split(path: &Headers, splits: &[Split]) -> (Headers, Vec<Headers>) {
    let contested = |name: &String| splits.iter().any(|s| s.set_headers.contains_key(name));
    let (contested, common): (Headers, Headers) = path
        .clone()
        .into_iter()
        .partition(|(name, _)| contested(name));
    let own = splits
        .iter()
        .map(|split| {
            let mut own = contested.clone();
            own.extend(split.set_headers.clone());
            own
        })
        .collect();
    (common, own)
}

fn set_each(headers: &Headers) -> Vec<pb::HeaderValueOption> {
    headers
        .iter()
        .map(|(name, value)| pb::set_header(name, value))
        .collect()
}

/// Notes the features of a route in the shape of its table.
fn note(route: &Route, shape: &mut Shape) {
    shape.add_text("prefix", &route.prefix);
    for (name, value) in &route.headers {
        shape.add("header-match");
        shape.add_text("header-name", name);
        shape.add_text("header-match", value);
    }
    let mut set = |headers: &Headers| {
        for (name, value) in headers {
            shape.add("set-header");
            shape.add_text("header-name", name);
            shape.add_text("set-header", value);
            if value.is_empty() {
                shape.add("set-empty-header");
            }
        }
    };
    match &route.action {
        Action::Respond { status, .. } => shape.add(&format!("respond-{status}")),
        Action::Forward {
            host_rewrite,
            set_headers,
            splits,
        } => {
            set(set_headers);
            for split in splits {
                set(&split.set_headers);
            }
            shape.add(if splits.len() > 1 {
                "weighted"
            } else {
                "forward"
            });
            if splits
                .iter()
                .any(|split| matches!(split.backend, Backend::Unavailable(_)))
            {
                shape.add("unavailable");
            }
            if let Some(host) = host_rewrite {
                shape.add("host-rewrite");
                shape.add_text("host-rewrite", host);
            }
        }
    }
}
