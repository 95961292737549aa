//! What a gateway says of each request, where it is asked to.

use std::path::Path;

use serde_json::{Value, json};
use sluice_trial::line::Ask;
use sluice_xds::Settings;

use crate::stage::{
    Stage, ask, backends, eventually, get, ingress, rule, service, split_setting, stage, stage_at,
};

async fn serve(stage: &mut Stage, backend: &sluice_trial::backend::Backend) {
    let mut objects = service("b", &[backend.address()]);
    let spec = json!({"rules": [rule("h.example.com", &[json!({
        "splits": [split_setting("b", 100, "Knative-Serving-Revision", "h-00001")],
        "appendHeaders": {"Knative-Serving-Namespace": "trial"},
    })])]});
    objects.push(ingress("h", &spec));
    stage.apply(&objects).await;
}

/// The requests that a gateway has told of, in order.
fn told(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    // The last line may be on its way.
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_told_with_what_became_of_it() {
    let Some(mut stage) = stage_at(Settings::default(), |edge| edge.access_log = true).await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    serve(&mut stage, &backend).await;
    let external = stage.edge().external_http;
    let odd = Ask::get("h.example.com", "/a?b=c").header("knative-serving-revision", "forged");
    assert_eq!(ask(external, odd).await.status, 200);
    assert_eq!(get(external, "nobody.example.com", "/").await.status, 404);
    eventually("two lines", || async {
        told(&stage.gateway.place().told()).len() >= 2
    })
    .await;
    let lines = told(&stage.gateway.place().told());
    assert_eq!(lines.len(), 2, "{lines:?}");
    let [served, unknown] = &lines[..] else {
        unreachable!()
    };
    for (field, expected) in [
        ("method", json!("GET")),
        ("authority", json!("h.example.com")),
        ("path", json!("/a?b=c")),
        ("protocol", json!("HTTP/1.1")),
        ("status", json!(200)),
        ("status_details", json!("via_upstream")),
        ("upstream", json!("trial/b/80")),
        ("upstream_address", json!(backend.address().to_string())),
        ("attempts", json!(1)),
        ("revision", json!("h-00001")),
        ("namespace", json!("trial")),
        ("flags", json!("-")),
    ] {
        assert_eq!(served[field], expected, "{field} of {served}");
    }
    for field in ["duration_ms", "first_byte_ms", "bytes_sent"] {
        assert!(served[field].is_u64(), "{field} of {served}");
    }
    let id = served["request_id"].as_str().unwrap();
    assert_eq!(id.len(), 36, "{served}");
    assert_eq!(unknown["status"], 404);
    assert_eq!(unknown["flags"], "NR");
    assert_eq!(unknown["upstream"], Value::Null);
    assert_eq!(unknown["revision"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_unasked() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    serve(&mut stage, &backend).await;
    let reply = get(stage.edge().external_http, "h.example.com", "/").await;
    assert_eq!(reply.status, 200);
    // At its end a gateway writes out what it has to say.
    let place = stage.gateway.stop().await;
    assert_eq!(told(&place.told()), Vec::<Value>::new());
}
