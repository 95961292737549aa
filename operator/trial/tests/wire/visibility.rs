//! A cluster-local host answers on no external listener, however it is written.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures::{StreamExt, stream};
use serde_json::json;
use sluice_trial::certificate::issue;
use sluice_trial::dial::Tls;
use sluice_trial::raw::{self, Taken};

use crate::spelling::spellings;
use crate::stage::{
    NAMESPACE, backends, get, ingress, local_rule, path, rule, service, split, stage,
};

const OPEN: &str = "open.example.com";

/// The names of one cluster-local Service, and a private name of another kind.
const LOCAL: [&str; 4] = [
    "hidden.trial.svc.cluster.local",
    "hidden.trial.svc",
    "hidden.trial",
    "hidden.example.com",
];

/// A way to put an authority on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Host,
    AbsoluteForm,
    AbsoluteFormHttps,
    HostAfterOpen,
    HostBeforeOpen,
    OpenWithForwarded,
    OpenWithOverride,
    Authority,
    AuthorityAndHost,
    AuthorityOpenAndHost,
    HostOnly,
}

const HTTP1: [Way; 7] = [
    Way::Host,
    Way::AbsoluteForm,
    Way::AbsoluteFormHttps,
    Way::HostAfterOpen,
    Way::HostBeforeOpen,
    Way::OpenWithForwarded,
    Way::OpenWithOverride,
];

const HTTP2: [Way; 4] = [
    Way::Authority,
    Way::AuthorityAndHost,
    Way::AuthorityOpenAndHost,
    Way::HostOnly,
];

async fn send(address: SocketAddr, tls: Option<&Tls>, way: Way, authority: &[u8]) -> Taken {
    let scheme: &[u8] = if tls.is_some() { b"https" } else { b"http" };
    let http1 = |target: &[u8], heads: &[&[u8]]| {
        let heads = heads.join(&b"\r\n"[..]);
        [
            b"GET ",
            target,
            b" HTTP/1.1\r\n",
            &heads[..],
            b"\r\nConnection: close\r\n\r\n",
        ]
        .concat()
    };
    let host = [b"Host: ", authority].concat();
    let open = [b"Host: ", OPEN.as_bytes()].concat();
    let request = match way {
        Way::Host => http1(b"/", &[&host]),
        Way::AbsoluteForm => http1(&[b"http://", authority, b"/"].concat(), &[&open]),
        Way::AbsoluteFormHttps => http1(&[b"https://", authority, b"/"].concat(), &[&open]),
        Way::HostAfterOpen => http1(b"/", &[&open, &host]),
        Way::HostBeforeOpen => http1(b"/", &[&host, &open]),
        Way::OpenWithForwarded => {
            let forwarded = [b"X-Forwarded-Host: ", authority].concat();
            http1(
                b"/",
                &[
                    &open,
                    &forwarded,
                    &[b"Forwarded: host=", authority].concat(),
                ],
            )
        }
        Way::OpenWithOverride => {
            let override_ = [b"X-Host: ", authority].concat();
            let original = [b"X-Envoy-Original-Host: ", authority].concat();
            http1(b"/", &[&open, &override_, &original])
        }
        Way::Authority | Way::AuthorityAndHost | Way::AuthorityOpenAndHost | Way::HostOnly => {
            let mut fields: Vec<(&str, &[u8])> =
                vec![(":method", b"GET"), (":scheme", scheme), (":path", b"/")];
            match way {
                Way::Authority => fields.push((":authority", authority)),
                Way::AuthorityAndHost => {
                    fields.extend([(":authority", authority), ("host", OPEN.as_bytes())]);
                }
                Way::AuthorityOpenAndHost => {
                    fields.extend([(":authority", OPEN.as_bytes()), ("host", authority)]);
                }
                _ => fields.push(("host", authority)),
            }
            return raw::http2(address, tls, &fields).await.unwrap();
        }
    };
    raw::http1(address, tls, &request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_cluster_local_authority_answers_outside() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [open, hidden] = backends(["open", "hidden"]).await;
    let mut objects = service("open", &[open.address()]);
    objects.extend(service("hidden", &[hidden.address()]));
    let certificate = issue(&[OPEN, LOCAL[0], LOCAL[3]]).unwrap();
    objects.push(certificate.secret(NAMESPACE, "tls"));
    let tls =
        |host: &str| json!({"hosts": [host], "secretName": "tls", "secretNamespace": NAMESPACE});
    objects.push(ingress(
        "open",
        &json!({
            "tls": [tls(OPEN)],
            "rules": [rule(OPEN, &[path(&[split("open", 100)])])],
        }),
    ));
    objects.push(ingress(
        "hidden",
        &json!({
            "tls": [tls(LOCAL[0])],
            "rules": [
                local_rule(LOCAL[0], &[path(&[split("hidden", 100)])]),
                local_rule(LOCAL[3], &[path(&[split("hidden", 100)])]),
            ],
        }),
    ));
    stage.apply(&objects).await;

    let edge = stage.edge().clone();
    // Positive control from inside: every plain name leads to the backend.
    for (number, host) in (1..).zip(LOCAL) {
        assert_eq!(
            get(edge.internal_http, host, "/").await.status,
            200,
            "{host} inside"
        );
        assert_eq!(hidden.hits(), number);
    }
    let inside = hidden.hits();

    let http1 = Tls::http1(OPEN);
    let http2 = Tls::http2(OPEN);
    let entries: [(&str, SocketAddr, Option<&Tls>, &[Way]); 4] = [
        ("http/1.1", edge.external_http, None, &HTTP1),
        ("h2c", edge.external_http, None, &HTTP2),
        ("https http/1.1", edge.external_https, Some(&http1), &HTTP1),
        ("https h2", edge.external_https, Some(&http2), &HTTP2),
    ];
    for (entry, address, tls, ways) in entries {
        let mut taken = BTreeMap::<(Way, Taken), u64>::new();
        let mut spelt = 0;
        for local in LOCAL {
            let all = spellings(local, OPEN);
            assert!(all.len() >= 200, "{} spellings", all.len());
            spelt = all.len();
            let open_before = open.hits();
            // Every spelling in the plain way of its protocol, one in eight in
            // each of the other ways, another eighth for each of them. Many at
            // once: Envoy takes a second to close on some of them.
            let sent = all.iter().flat_map(|authority| {
                let turn = usize::from(*authority.last().unwrap()) + authority.len();
                let chosen =
                    move |(index, _): &(usize, &Way)| *index == 0 || (turn + index) % 8 == 0;
                let ways = ways.iter().enumerate().filter(chosen);
                ways.map(move |(_, way)| async move {
                    (*way, authority, send(address, tls, *way, authority).await)
                })
            });
            let answers: Vec<_> = stream::iter(sent).buffer_unordered(64).collect().await;
            let mut served = 0;
            for (way, authority, answer) in answers {
                *taken.entry((way, answer)).or_default() += 1;
                let text = String::from_utf8_lossy(authority);
                match answer {
                    Taken::Closed | Taken::Status(400..500) => {}
                    // By the open host's backend, as the counts below prove.
                    Taken::Status(200) => served += 1,
                    other => panic!("{entry}, {way:?}: {text:?}: {other:?}"),
                }
            }
            let through = || {
                hidden
                    .received()
                    .split_off(usize::try_from(inside).unwrap())
            };
            assert_eq!(
                hidden.hits(),
                inside,
                "{entry}: got through: {:?}",
                through()
            );
            assert_eq!(open.hits(), open_before + served, "{entry}, {local}");

            // Positive control: the listener serves what it is to serve, in
            // this very protocol, and a hit shows.
            let answer = send(address, tls, ways[0], OPEN.as_bytes()).await;
            assert_eq!(answer, Taken::Status(200), "{entry}");
            assert_eq!(open.hits(), open_before + served + 1);
        }
        println!(
            "{entry}: {spelt} spellings of each of {} names: {taken:?}",
            LOCAL.len()
        );
    }

    // Positive control for the spellings: those of the open host that keep it
    // the same host are served, so odd spellings do reach the routing.
    for (entry, address, tls, way) in [
        ("http/1.1", edge.external_http, None, Way::Host),
        ("h2c", edge.external_http, None, Way::Authority),
    ] {
        let all = spellings(OPEN, "other.example.com");
        let sent = all
            .iter()
            .map(|authority| send(address, tls, way, authority));
        let answers: Vec<_> = stream::iter(sent).buffer_unordered(64).collect().await;
        let served = answers
            .iter()
            .filter(|answer| **answer == Taken::Status(200))
            .count();
        println!("{entry}: {served} spellings of {OPEN} are served");
        assert!(served >= 5, "{entry}: only {served}");
    }
    assert_eq!(hidden.hits(), inside);
}

/// Inside, the private name is served over TLS. Outside, a certificate cannot be
/// told apart by side, so the handshake may succeed; no request does.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_local_certificate_leads_nowhere_outside() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [hidden] = backends(["hidden"]).await;
    let certificate = issue(&[LOCAL[0]]).unwrap();
    let mut objects = service("hidden", &[hidden.address()]);
    objects.push(certificate.secret(NAMESPACE, "tls"));
    objects.push(ingress(
        "hidden",
        &json!({
            "tls": [{"hosts": [LOCAL[0]], "secretName": "tls", "secretNamespace": NAMESPACE}],
            "rules": [local_rule(LOCAL[0], &[path(&[split("hidden", 100)])])],
        }),
    ));
    stage.apply(&objects).await;
    let edge = stage.edge();
    let tls = Tls::http1(LOCAL[0]);
    let inside = sluice_trial::dial::dial(edge.internal_https, Some(&tls))
        .await
        .unwrap();
    assert_eq!(inside.certificate.as_deref(), Some(&certificate.der[..]));
    for way in [Way::Host, Way::AbsoluteForm] {
        match sluice_trial::dial::dial(edge.external_https, Some(&tls)).await {
            Err(_) => {}
            Ok(_) => {
                let answer = send(edge.external_https, Some(&tls), way, LOCAL[0].as_bytes()).await;
                assert!(
                    matches!(answer, Taken::Closed | Taken::Status(400..=499)),
                    "{answer:?}"
                );
            }
        }
    }
    assert_eq!(hidden.hits(), 0);
}
