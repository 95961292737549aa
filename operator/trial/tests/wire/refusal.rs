//! Input that cannot be served, next to input that can: what a user may apply
//! by accident or in anger never takes a neighbour down, and never reaches
//! Envoy in a shape that it refuses.

use serde_json::{Value, json};
use sluice_ir::{ObjectKey, Outcome, Reason};
use sluice_trial::backend::NAME_HEADER;
use sluice_trial::line::{Ask, Mode, Target};
use sluice_trial::prober::{Load, Prober};

use crate::stage::{
    NAMESPACE, backends, external_name, get, ingress, path, rule, service, simple, split, stage,
};

/// A new generation that is refused changes nothing of what is served; one that
/// never was good answers 503 with the reason; one that is mended serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_generation_keeps_last_good_serving() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    objects.push(simple("i", "i.example.com", "b"));
    stage.apply(&objects).await;
    let address = stage.edge().external_http;
    let mut prober = Prober::start(Load {
        target: Target::plain(address, Mode::KeepAlive),
        ask: Ask::get("i.example.com", "/?size=1"),
        rate: 200,
    });
    prober.more(10).await;
    let sums_to_90 =
        json!({"rules": [rule("i.example.com", &[path(&[split("b", 40), split("b", 50)])])]});
    let foreign = {
        let mut split = split("b", 100);
        split["serviceNamespace"] = json!("elsewhere");
        json!({"rules": [rule("i.example.com", &[path(&[split])])]})
    };
    let no_hosts = {
        let mut rule = rule("i.example.com", &[path(&[split("b", 100)])]);
        rule["hosts"] = json!([]);
        json!({"rules": [rule]})
    };
    for (spec, reason) in [
        (sums_to_90, Reason::PercentSum),
        (foreign, Reason::CrossNamespaceBackend),
        (no_hosts, Reason::HostRequired),
        (json!({}), Reason::InvalidSpec),
    ] {
        let published = stage.apply(&[ingress("i", &spec)]).await;
        let verdict = &published.changes.verdicts[&ObjectKey::new(NAMESPACE, "i")];
        assert_eq!(verdict.outcome, Outcome::Refused);
        assert!(
            verdict.rejections.iter().any(|r| r.reason == reason),
            "{verdict:?}"
        );
        assert_eq!(
            get(address, "i.example.com", "/").await.status,
            200,
            "{reason}"
        );
        prober.more(10).await;
    }
    stage.apply(&[simple("i", "i.example.com", "b")]).await;
    prober.more(10).await;
    let report = prober.stop().await.unwrap();
    assert_eq!(report.lost(200), Vec::<String>::new());

    let never_good = json!({"rules": [rule("n.example.com", &[path(&[split("b", 10)])]),
                                      rule("n2.example.com", &[path(&[split("b", 40), split("b", 50)])])]});
    stage.apply(&[ingress("n", &never_good)]).await;
    for host in ["n.example.com", "n2.example.com"] {
        let reply = get(address, host, "/").await;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, 503, "{host}: {body}");
        assert!(
            body.contains("90") || body.contains("10"),
            "the reason is told: {body}"
        );
    }
    stage.apply(&[simple("n", "n.example.com", "b")]).await;
    assert_eq!(get(address, "n.example.com", "/").await.status, 200);
    assert_eq!(get(address, "n2.example.com", "/").await.status, 404);
}

/// Header names and values that a client library, Envoy or HTTP refuses.
fn bad_headers() -> Vec<(&'static str, &'static str)> {
    vec![
        ("x-crlf", "a\r\nx-injected: 1"),
        ("x-lf", "a\nb"),
        ("x-nul", "a\0b"),
        ("x-bell", "\u{7}"),
        ("x-del", "\u{7f}"),
        ("x-unicode", "\u{e9}\u{4e2d}"),
        ("x-format", "%REQ(authorization)%"),
        ("x-percent", "100%"),
        ("x-percents", "%%"),
        ("x-broken-format", "%START_TIME(%"),
        ("x bad name", "v"),
        ("x:colon", "v"),
        ("", "v"),
        ("x-\r\n", "v"),
        (":path", "/x"),
        (":authority", "evil.example.com"),
        ("host", "evil.example.com"),
        ("Host", "evil.example.com"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("content-length", "1"),
        ("te", "trailers"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_never_reaches_envoy_and_neighbours_serve() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    objects.push(simple("good", "good.example.com", "b"));
    let mut number = 0;
    let mut bad = |spec: Value| {
        number += 1;
        ingress(&format!("bad-{number}"), &spec)
    };
    for (name, value) in bad_headers() {
        let mut at_split = split("b", 100);
        at_split["appendHeaders"] = json!({name: value, "x-fine": "fine"});
        let mut at_path = path(&[split("b", 100)]);
        at_path["appendHeaders"] = json!({name: value, "x-fine": "fine"});
        let mut matching = path(&[split("b", 100)]);
        matching["headers"] = json!({name: {"exact": value}});
        for (place, path) in [
            ("split", path(&[at_split])),
            ("path", at_path),
            ("match", matching),
        ] {
            let host = format!("h{}-{place}.example.com", objects.len());
            objects.push(bad(json!({"rules": [rule(&host, &[path])]})));
        }
    }
    for host in [
        "*",
        "*.example.com",
        "",
        " ",
        "a b.example.com",
        "a/b",
        "a:80",
        "a..b",
        ".a",
        "-",
        "[::1]",
        "10.0.0.1",
        "a\r\nb",
        "\u{e9}.example.com",
        "UPPER.example.com",
        "dot.example.com.",
        "x".repeat(64).as_str(),
        "y.".repeat(200).as_str(),
        "!",
        "a|b",
        "good.example.com",
    ] {
        objects.push(bad(
            json!({"rules": [rule(host, &[path(&[split("b", 100)])])]}),
        ));
    }
    for request_path in [
        "no-slash", "/a?b", "/a#b", "/a\r\nb", "/\u{e9}", "/%zz", "//", "/../", "/*", "/(", " ",
    ] {
        let mut path = path(&[split("b", 100)]);
        path["path"] = json!(request_path);
        let host = format!("p{}.example.com", objects.len());
        objects.push(bad(json!({"rules": [rule(&host, &[path])]})));
    }
    for rewrite in ["a b", "a\r\nb", "%REQ(x)%", "*", "self.example.com", ""] {
        let mut path = path(&[split("b", 100)]);
        path["rewriteHost"] = json!(rewrite);
        objects.push(bad(json!({"rules": [rule("self.example.com", &[path])]})));
    }
    for (name, target) in [
        ("link-local", "169.254.169.254"),
        ("metadata", "[fe80::1]"),
        ("empty", ""),
        ("spaced", "a b"),
        ("star", "*.example.com"),
        ("url", "http://example.com/"),
        ("port", "example.com:99999"),
        ("unresolvable", "nowhere.invalid"),
    ] {
        objects.push(external_name(name, target));
        let host = format!("{name}.example.com");
        objects.push(bad(
            json!({"rules": [rule(&host, &[path(&[split(name, 100)])])]}),
        ));
    }
    for percents in [
        vec![0, 0],
        vec![-1, 101],
        vec![50, 51],
        vec![1_000],
        vec![i64::MAX, 1],
        vec![],
    ] {
        let splits: Vec<Value> = percents
            .iter()
            .map(|percent| {
                let mut split = split("b", 0);
                split["percent"] = json!(percent);
                split
            })
            .collect();
        let host = format!("s{}.example.com", objects.len());
        objects.push(bad(json!({"rules": [rule(&host, &[path(&splits)])]})));
    }
    // A thousand splits, of which a hundred have a share.
    let many: Vec<Value> = (0..1_000)
        .map(|n| split("b", u8::from(n % 10 == 0)))
        .collect();
    objects.push(bad(
        json!({"rules": [rule("many.example.com", &[path(&many)])]}),
    ));
    // 1.4 MB, near what the API server stores at most.
    let mut large = path(&[split("b", 100)]);
    let values = (0..350).map(|n| (format!("x-{n}"), json!("v".repeat(4_000))));
    large["appendHeaders"] = Value::Object(values.collect());
    let manifest = bad(json!({"rules": [rule("large.example.com", &[large])]}));
    assert!(manifest.to_string().len() >= 1_400_000);
    objects.push(manifest);
    let wide: Vec<Value> = (0..2_000)
        .map(|n| {
            let mut path = path(&[split("b", 100)]);
            path["path"] = json!(format!("/{n}"));
            path
        })
        .collect();
    objects.push(bad(json!({"rules": [rule("wide.example.com", &wide)]})));
    for (name, port) in [
        ("port-name", json!("absent")),
        ("port-number", json!(81)),
        ("port-wild", json!(-5)),
    ] {
        let mut split = split("b", 100);
        split["servicePort"] = port;
        let host = format!("{name}.example.com");
        objects.push(bad(json!({"rules": [rule(&host, &[path(&[split])])]})));
    }

    // One by one, so that each stands for itself; `apply` fails if a gateway
    // refused anything.
    let address = stage.edge().external_http;
    let mut prober = Prober::start(Load {
        target: Target::plain(address, Mode::KeepAlive),
        ask: Ask::get("good.example.com", "/?size=1"),
        rate: 100,
    });
    let total = objects.len();
    for object in &objects {
        if let Err(error) = stage.server.apply(std::slice::from_ref(object)).await {
            let text: String = object.to_string().chars().take(600).collect();
            panic!("{error}\n{text}");
        }
    }
    println!("{total} objects applied, nothing refused by Envoy");
    prober.more(10).await;
    let report = prober.stop().await.unwrap();
    // The first requests may have come before the first Ingress.
    let settled = report
        .replies()
        .skip_while(|(_, reply)| reply.status == 404);
    assert!(settled.filter(|(_, reply)| reply.status != 200).count() == 0);
    assert_eq!(report.failed(), 0);
    assert_eq!(get(address, "many.example.com", "/").await.status, 200);
    assert_eq!(get(address, "wide.example.com", "/1999").await.status, 200);
    assert_eq!(get(address, "upper.example.com", "/").await.status, 200);
    assert_eq!(get(address, "dot.example.com", "/").await.status, 200);

    // And all of it at once on a gateway that starts anew.
    let stage = stage.anew().await;
    assert!(stage.server.fleet().quarantined.is_empty());
    let address = stage.edge().external_http;
    assert_eq!(get(address, "good.example.com", "/").await.status, 200);
}

/// Hosts that are claimed twice, or that are not the claimant's to have.
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_not_granted_serve_nothing() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [first, second] = backends(["first", "second"]).await;
    let mut objects = service("first", &[first.address()]);
    objects.extend(service("second", &[second.address()]));
    let to = |host: &str, service: &str| rule(host, &[path(&[split(service, 100)])]);
    // Twice in one Ingress, by another spelling: the first rule has it.
    let twice = json!({"rules": [
        to("twice.example.com", "first"),
        to("TWICE.example.com.", "second"),
    ]});
    objects.push(ingress("twice", &twice));
    // In two: the elder has it; by name where they are of one age.
    objects.push(simple("a-elder", "shared.example.com", "first"));
    objects.push(simple("b-younger", "shared.example.com", "second"));
    // Cluster-local names of another namespace, and of its own. (`x.other` could
    // be a public domain; for it the namespace merely stands first.)
    let foreign = ["x.other.svc.cluster.local", "x.other.svc"];
    let own = ["x.trial.svc.cluster.local", "x.trial.svc", "x.trial"];
    let rules: Vec<Value> = foreign
        .iter()
        .chain(&own)
        .map(|host| to(host, "second"))
        .collect();
    objects.push(ingress("names", &json!({"rules": rules})));
    let published = stage.apply(&objects).await;
    let reasons = |name: &str| -> Vec<Reason> {
        let verdict = &published.changes.verdicts[&ObjectKey::new(NAMESPACE, name)];
        verdict.rejections.iter().map(|r| r.reason).collect()
    };
    assert_eq!(reasons("twice"), [Reason::DuplicateHost]);
    assert_eq!(reasons("a-elder"), []);
    assert_eq!(reasons("b-younger"), [Reason::DomainConflict]);
    assert!(reasons("names").contains(&Reason::ForeignLocalName));
    let edge = stage.edge();
    for address in [edge.external_http, edge.internal_http] {
        for host in ["twice.example.com", "shared.example.com"] {
            assert_eq!(
                get(address, host, "/").await.header(NAME_HEADER),
                "first",
                "{host}"
            );
        }
        for host in foreign {
            assert_eq!(get(address, host, "/").await.status, 404, "{host}");
        }
        for host in own {
            assert_eq!(
                get(address, host, "/").await.header(NAME_HEADER),
                "second",
                "{host}"
            );
        }
    }
}
