//! Values of a Secret read as an API server reads them, and never show.

use serde::Deserialize;
use serde_json::json;

use super::read_lines;
use crate::{Secret, SecretError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64Vector {
    case: String,
    text: String,
    hex: Option<String>,
}

fn secret(document: serde_json::Value) -> Secret {
    serde_json::from_value(document).unwrap()
}

#[test]
fn base64_reads_as_go_reads_it() {
    for vector in read_lines::<Base64Vector>(include_str!("../../testdata/base64.jsonl")) {
        let read = secret(json!({"data": {"k": vector.text}})).bytes("k");
        let hex = read.ok().map(|bytes| {
            let bytes = bytes.expect("the key is there");
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        assert_eq!(hex, vector.hex, "{}", vector.case);
    }
}

#[test]
fn string_data_goes_over_data() {
    let secret =
        secret(json!({"data": {"a": "b2xk", "b": "b2xk"}, "stringData": {"a": "new", "c": "é"}}));
    assert_eq!(secret.bytes("a"), Ok(Some(b"new".to_vec())));
    assert_eq!(secret.bytes("b"), Ok(Some(b"old".to_vec())));
    assert_eq!(secret.bytes("c"), Ok(Some("é".as_bytes().to_vec())));
    assert_eq!(secret.bytes("d"), Ok(None));
}

#[test]
fn an_error_names_the_field_and_not_the_value() {
    let secret = secret(json!({
        "metadata": {"namespace": "default", "name": "cert"}, "data": {"tls.key": "hunter2!"},
    }));
    let error = secret.bytes("tls.key").unwrap_err();
    let SecretError::NotBase64 { key, .. } = &error;
    assert_eq!(key, "tls.key");
    let text = error.to_string();
    assert!(
        text.starts_with("secret default/cert: data[tls.key]: found text that is not base64"),
        "{text}"
    );
    assert!(!format!("{text}{error:?}{secret:?}").contains("hunter2"));
}

#[test]
fn a_value_that_is_not_text_does_not_show() {
    for value in [
        json!(987_654),
        json!(-987_654),
        json!(9.876_54),
        json!(["987654"]),
        json!({"k": "987654"}),
        json!(true),
    ] {
        for field in ["data", "stringData"] {
            let document = json!({field: {"k": value}}).to_string();
            let error = serde_json::from_str::<Secret>(&document)
                .unwrap_err()
                .to_string();
            assert!(error.contains("expected text"), "{error}");
            assert!(!error.contains("987") && !error.contains("9.8"), "{error}");
        }
    }
}
