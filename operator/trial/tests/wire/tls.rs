//! Certificates by SNI, and redirects to https.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sluice_translate::ObjectKind;
use sluice_trial::certificate::{Issued, issue, secret};
use sluice_trial::dial::{Tls, dial};
use sluice_trial::line::{Ask, Line, Mode, Target};
use sluice_trial::prober::{Load, Prober};

use crate::stage::{
    NAMESPACE, alone, backends, get, ingress, path, rule, service, simple, split, stage,
};

fn with_tls(name: &str, host: &str, secret: &str, http_option: &str) -> Value {
    ingress(
        name,
        &json!({
            "httpOption": http_option,
            "tls": [{"hosts": [host], "secretName": secret, "secretNamespace": NAMESPACE}],
            "rules": [rule(host, &[path(&[split("b", 100)])])],
        }),
    )
}

/// The certificate shown for a server name, if the handshake succeeds.
async fn shown(address: SocketAddr, sni: Option<&str>) -> Option<Vec<u8>> {
    let tls = Tls {
        sni: sni.map(str::to_owned),
        alpn: vec!["h2", "http/1.1"],
    };
    let handshake = tokio::time::timeout(
        std::time::Duration::from_secs(10),
        dial(address, Some(&tls)),
    );
    let outcome = handshake.await.expect("a handshake ends by itself");
    outcome.ok().and_then(|connection| connection.certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_has_its_certificate() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    let hosts = ["one.example.com", "two.example.com", "three.example.com"];
    let mut issued: Vec<(&str, Issued)> = Vec::new();
    for host in hosts {
        let pair = issue(&[host]).unwrap();
        let name = host.split('.').next().unwrap();
        objects.push(pair.secret(NAMESPACE, name));
        objects.push(with_tls(name, host, name, "Enabled"));
        issued.push((host, pair));
    }
    let wildcard = issue(&["*.wild.example.com"]).unwrap();
    objects.push(wildcard.secret(NAMESPACE, "wild"));
    for host in ["a.wild.example.com", "b.wild.example.com"] {
        objects.push(with_tls(&host[..1], host, "wild", "Enabled"));
    }
    // Broken in three ways; each may harm itself only.
    let (left, right) = (
        issue(&["mismatch.example.com"]).unwrap(),
        issue(&["x"]).unwrap(),
    );
    objects.push(secret(NAMESPACE, "mismatch", &left.chain, &right.key));
    objects.push(with_tls(
        "mismatch",
        "mismatch.example.com",
        "mismatch",
        "Enabled",
    ));
    objects.push(secret(NAMESPACE, "garbage", "no certificate", "no key"));
    objects.push(with_tls(
        "garbage",
        "garbage.example.com",
        "garbage",
        "Enabled",
    ));
    objects.push(with_tls(
        "absent",
        "absent.example.com",
        "absent",
        "Enabled",
    ));
    objects.push(simple("plain", "plain.example.com", "b"));
    let published = stage.apply(&objects).await;
    for broken in ["mismatch", "garbage", "absent"] {
        let key = sluice_ir::ObjectKey::new(NAMESPACE, broken);
        let verdict = &published.changes.verdicts[&key];
        assert_eq!(
            verdict.outcome,
            sluice_ir::Outcome::Partial,
            "{broken}: {verdict:?}"
        );
    }

    let edge = stage.edge();
    let https = edge.external_https;
    for (host, pair) in &issued {
        assert_eq!(
            shown(https, Some(host)).await.as_ref(),
            Some(&pair.der),
            "{host}"
        );
        assert_eq!(
            shown(https, Some(&host.to_uppercase())).await.as_ref(),
            Some(&pair.der)
        );
        assert_eq!(
            shown(edge.internal_https, Some(host)).await.as_ref(),
            Some(&pair.der)
        );
    }
    for host in [
        "a.wild.example.com",
        "b.wild.example.com",
        "B.Wild.example.com",
    ] {
        assert_eq!(
            shown(https, Some(host)).await.as_ref(),
            Some(&wildcard.der),
            "{host}"
        );
    }
    for unknown in [
        "unknown.example.com",
        // Covered by the wildcard, but no Ingress owns it.
        "c.wild.example.com",
        "example.com",
        "plain.example.com",
        "mismatch.example.com",
        "garbage.example.com",
        "absent.example.com",
    ] {
        assert_eq!(shown(https, Some(unknown)).await, None, "{unknown}");
    }
    assert_eq!(shown(https, None).await, None, "no server name");
    // And requests by either protocol reach the backend, also of neighbours of
    // the broken ones; over plain HTTP the broken ones serve too.
    for host in ["one.example.com", "b.wild.example.com"] {
        for (mode, tls) in [
            (Mode::Fresh, Tls::http1(host)),
            (Mode::Http2, Tls::http2(host)),
        ] {
            let line = Line::new(Target::tls(https, mode, tls));
            let reply = line.send(&Ask::get(host, "/")).await.outcome.unwrap();
            assert_eq!(reply.status, 200);
            let received = crate::stage::echo(&reply).received;
            assert_eq!(received.values("x-forwarded-proto"), ["https"]);
        }
    }
    for host in [
        "mismatch.example.com",
        "garbage.example.com",
        "absent.example.com",
    ] {
        assert_eq!(
            get(edge.external_http, host, "/").await.status,
            200,
            "{host}"
        );
    }
    // A broken one that is mended is shown at the next handshake.
    stage.apply(&[left.secret(NAMESPACE, "mismatch")]).await;
    let https = stage.edge().external_https;
    assert_eq!(
        shown(https, Some("mismatch.example.com")).await,
        Some(left.der)
    );
    // One that is gone is shown no more, whoever asked before.
    stage.delete(ObjectKind::Ingress, "one").await;
    assert_eq!(shown(https, Some("one.example.com")).await, None);
    assert_eq!(
        shown(https, Some("two.example.com")).await.as_ref(),
        Some(&issued[1].1.der)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_load_loses_nothing() {
    let _turn = alone().await;
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let host = "rotate.example.com";
    let mut objects = service("b", &[backend.address()]);
    objects.push(issue(&[host]).unwrap().secret(NAMESPACE, "tls"));
    objects.push(with_tls("rotate", host, "tls", "Enabled"));
    stage.apply(&objects).await;
    let https = stage.edge().external_https;
    let probe = |mode, tls, rate| {
        Prober::start(Load {
            target: Target::tls(https, mode, tls),
            ask: Ask::get(host, "/"),
            rate,
        })
    };
    let mut probers = [
        probe(Mode::KeepAlive, Tls::http1(host), 200),
        probe(Mode::Http2, Tls::http2(host), 200),
        // New handshakes are dear in a build without optimisation.
        probe(Mode::Fresh, Tls::http1(host), 20),
    ];
    for prober in &mut probers {
        prober.more(20).await;
    }
    for _ in 0..10 {
        let next = issue(&[host]).unwrap();
        stage.apply(&[next.secret(NAMESPACE, "tls")]).await;
        assert_eq!(
            shown(https, Some(host)).await,
            Some(next.der),
            "after the ACK"
        );
        for prober in &mut probers {
            prober.more(5).await;
        }
    }
    for prober in probers {
        let report = prober.stop().await.unwrap();
        println!("rotation: {} sent, {} failed", report.sent, report.failed());
        assert_eq!(report.lost(200), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_spare_the_acme_challenge_and_believe_no_client() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    let pair = issue(&["secure.example.com", "other.example.com"]).unwrap();
    objects.push(pair.secret(NAMESPACE, "tls"));
    let challenge = "/.well-known/acme-challenge/token";
    let acme = json!({"path": challenge, "splits": [split("b", 100)]});
    objects.push(ingress("secure", &json!({
        "httpOption": "Redirected",
        "tls": [{"hosts": ["secure.example.com"], "secretName": "tls", "secretNamespace": NAMESPACE}],
        "rules": [rule("secure.example.com", &[acme, path(&[split("b", 100)])])],
    })));
    objects.push(with_tls("other", "other.example.com", "tls", "Enabled"));
    // Redirected, but with no certificate to redirect to.
    objects.push(ingress(
        "bare",
        &json!({
            "httpOption": "Redirected",
            "rules": [rule("bare.example.com", &[path(&[split("b", 100)])])],
        }),
    ));
    stage.apply(&objects).await;
    let edge = stage.edge();

    let spoofs = [
        ("x-none", "1"),
        ("x-forwarded-proto", "https"),
        ("X-Forwarded-Proto", "https"),
        ("x-forwarded-for", "127.0.0.1, 10.0.0.1"),
        ("forwarded", "proto=https"),
        ("x-forwarded-scheme", "https"),
        ("x-scheme", "https"),
        ("x-forwarded-ssl", "on"),
        ("front-end-https", "on"),
        ("x-envoy-internal", "true"),
    ];
    for mode in [Mode::KeepAlive, Mode::Http2] {
        let line = Line::new(Target::plain(edge.external_http, mode));
        let hits = backend.hits();
        for (name, value) in spoofs {
            for ask in [
                Ask::get("secure.example.com", "/p?q=1"),
                Ask::post("secure.example.com", "/p?q=1", "body"),
            ] {
                let reply = line.send(&ask.header(name, value)).await.outcome.unwrap();
                assert_eq!(reply.status, 301, "{mode:?} {name}: {value}");
                assert_eq!(reply.header("location"), "https://secure.example.com/p?q=1");
            }
        }
        assert_eq!(backend.hits(), hits);
        let reply = line.send(&Ask::get("secure.example.com", challenge)).await;
        assert_eq!(
            reply.outcome.unwrap().status,
            200,
            "the challenge stays on http"
        );
        for host in ["other.example.com", "bare.example.com"] {
            let reply = line.send(&Ask::get(host, "/")).await;
            assert_eq!(reply.outcome.unwrap().status, 200, "{host}");
        }
        let inside = Line::new(Target::plain(edge.internal_http, mode));
        let reply = inside.send(&Ask::get("secure.example.com", "/")).await;
        assert_eq!(reply.outcome.unwrap().status, 200, "no redirect inside");
        let alpn = if mode == Mode::Http2 {
            Tls::http2
        } else {
            Tls::http1
        };
        let tls = Line::new(Target::tls(
            edge.external_https,
            mode,
            alpn("secure.example.com"),
        ));
        for ask in [
            Ask::get("secure.example.com", "/"),
            Ask::get("secure.example.com", "/").header("x-forwarded-proto", "http"),
        ] {
            assert_eq!(
                tls.send(&ask).await.outcome.unwrap().status,
                200,
                "no loop on https"
            );
        }
    }
    let port = Ask::get("secure.example.com:8080", "/");
    let line = Line::new(Target::plain(edge.external_http, Mode::Fresh));
    let reply = line.send(&port).await.outcome.unwrap();
    assert_eq!(
        (reply.status, reply.header("location")),
        (301, "https://secure.example.com/")
    );
}

/// The first handshakes of a name all wait for one answer of the xDS server;
/// none of them may be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_first_handshakes_at_once() {
    let _turn = alone().await;
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    let hosts = ["one.example.com", "two.example.com"];
    for host in hosts {
        let name = host.split('.').next().unwrap();
        objects.push(issue(&[host]).unwrap().secret(NAMESPACE, name));
        objects.push(with_tls(name, host, name, "Enabled"));
    }
    stage.apply(&objects).await;
    let https = stage.edge().external_https;
    let mut asks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let host = hosts[number % 2];
        asks.spawn(async move {
            let mut target = Target::tls(https, Mode::Fresh, Tls::http1(host));
            target.timeout = std::time::Duration::from_secs(8);
            Line::new(target).send(&Ask::get(host, "/")).await
        });
    }
    let answers = asks.join_all().await;
    let lost: Vec<_> = answers
        .iter()
        .filter(|answer| {
            !answer
                .outcome
                .as_ref()
                .is_ok_and(|reply| reply.status == 200)
        })
        .collect();
    assert!(
        lost.is_empty(),
        "{} of 100: {:?}",
        lost.len(),
        lost[0].outcome
    );
}
