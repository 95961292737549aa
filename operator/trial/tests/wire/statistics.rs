//! What a gateway counts, as `config/monitoring` asks for it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::json;
use sluice_trial::certificate::issue;
use sluice_trial::dial::Tls;
use sluice_trial::line::{Ask, Line, Mode, Target};
use tokio::net::TcpListener;

use crate::stage::{
    NAMESPACE, backends, eventually, get, ingress, path, rule, service, simple, split, stage,
};

/// Every series of the page, each as 0, under what its family is. Of a histogram's
/// buckets only the last, since Envoy has twenty; nothing of the gateway's own way to
/// the operator, which `sluice_xds_…` tells better.
fn series(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut family = None;
    for line in page.lines() {
        if line.starts_with('#') {
            family = Some(line.to_owned());
        } else if let Some((name, _)) = line.rsplit_once(' ')
            && (!name.contains("le=\"") || name.contains("le=\"+Inf\""))
            && !name.contains("envoy_cluster_name=\"xds\"")
        {
            lines.extend(family.take());
            lines.push(format!("{name} 0"));
        }
    }
    lines
}

async fn page(statistics: SocketAddr) -> String {
    let reply = get(statistics, "statistics", "/stats/prometheus").await;
    assert_eq!(reply.status, 200);
    String::from_utf8(reply.body.to_vec()).unwrap()
}

/// Every line of the file is said by a real gateway that had traffic.
/// `SLUICE_UPDATE_GOLDEN=1` writes it; `hack/lint-monitoring` reads it too.
#[tokio::test(flavor = "multi_thread")]
async fn golden_page_of_a_gateway_that_had_traffic() {
    const SECURE: &str = "secure.example.com";
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    // An address where nobody listens.
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut objects = service("b", &[backend.address()]);
    objects.extend(service("nobody", &[nobody]));
    objects.push(simple("b", "b.example.com", "b"));
    objects.push(simple("nobody", "nobody.example.com", "nobody"));
    objects.push(issue(&[SECURE]).unwrap().secret(NAMESPACE, "secure"));
    objects.push(ingress(
        "secure",
        &json!({
            "tls": [{"hosts": [SECURE], "secretName": "secure", "secretNamespace": NAMESPACE}],
            "rules": [rule(SECURE, &[path(&[split("b", 100)])])],
        }),
    ));
    stage.apply(&objects).await;
    let edge = stage.edge().clone();
    for (host, path, status) in [
        ("b.example.com", "/", 200),
        ("b.example.com", "/?status=302", 302),
        ("b.example.com", "/?status=404", 404),
        ("b.example.com", "/?status=503", 503),
        ("nobody.example.com", "/", 503),
        ("unknown.example.com", "/", 404),
    ] {
        assert_eq!(get(edge.external_http, host, path).await.status, status);
    }
    let tls = Tls {
        sni: Some(SECURE.to_owned()),
        alpn: vec!["http/1.1"],
    };
    let line = Line::new(Target::tls(edge.external_https, Mode::Fresh, tls));
    let reply = line.send(&Ask::get(SECURE, "/")).await.outcome.unwrap();
    assert_eq!(reply.status, 200);

    // Envoy merges its workers' histograms every five seconds.
    let counted = r#"envoy_cluster_upstream_rq_time_count{envoy_cluster_name="trial/b/80"} 5"#;
    eventually("histograms of what was asked", async || {
        page(edge.statistics).await.contains(counted)
    })
    .await;
    let page = page(edge.statistics).await;
    let said = series(&page);
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../config/monitoring/metrics/gateway.txt"
    );
    // What Envoy says of all certificates knows none of those that it asked for.
    let none = "envoy_server_days_until_first_cert_expiring{} 4294967295";
    assert!(page.lines().any(|line| line == none), "{none}");
    // All certificates are one metric, each with its whole name.
    let shown: Vec<_> = said
        .iter()
        .filter(|line| !line.starts_with('#') && line.contains("_expiration_"))
        .collect();
    assert!(
        shown.len() == 1
            && shown[0].contains(r#"ssl_certificate_expiration_unix_time_seconds{"#)
            && shown[0].contains(r#"certificate="secure.example.com""#),
        "{shown:?}"
    );
    if std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some() {
        std::fs::write(file, said.join("\n") + "\n").unwrap();
    }
    let said: BTreeSet<_> = said.into_iter().collect();
    let expected = std::fs::read_to_string(file).unwrap();
    let missing: Vec<_> = expected
        .lines()
        .filter(|line| !said.contains(*line))
        .collect();
    assert!(missing.is_empty(), "no longer said: {missing:#?}");
}
