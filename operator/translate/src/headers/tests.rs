use super::*;
use crate::fixture::{matches, texts};

fn set(name: &str, value: &str) -> Result<Headers, String> {
    to_set(&texts([(name, value)]), "at", &mut Rejections::default())
}

fn matched(name: &str, value: &str) -> Result<Headers, String> {
    to_match(&matches([(name, value)]), "at", &mut Rejections::default())
}

#[test]
fn names_are_folded_and_values_kept() {
    for read in [
        set("X-Token!#$%&'*+-.^_`|~9", "A b\tÜ"),
        matched("X-Token!#$%&'*+-.^_`|~9", "A b\tÜ"),
    ] {
        assert_eq!(read, Ok(texts([("x-token!#$%&'*+-.^_`|~9", "A b\tÜ")])));
    }
    assert_eq!(set("x", ""), Ok(texts([("x", "")])));
    assert_eq!(matched("x", ""), Ok(texts([("x", "")])));
    assert_eq!(set("x", " padded "), Ok(texts([("x", " padded ")])));
}

#[test]
fn names_that_no_message_can_have() {
    for name in [
        "", ":path", "a b", "a\tb", "a\r\nb", "ä", "a:b", "a(b", "a@b", "a/b", "a\0",
    ] {
        assert!(set(name, "x").is_err(), "{name:?}");
        assert!(matched(name, "x").is_err(), "{name:?}");
    }
}

#[test]
fn names_that_are_not_the_applications_to_set() {
    let names = [
        "Connection",
        "Content-Length",
        "Host",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "K-Network-Hash",
        "K-Network-Probe",
        "X-Envoy-Upstream-Rq-Timeout-Ms",
        "x-envoy-",
    ];
    for name in names {
        assert!(set(name, "x").is_err(), "{name}");
    }
    // Serving sets these.
    for name in [
        "Knative-Serving-Revision",
        "Knative-Serving-Namespace",
        "Knative-Serving-Default-Route",
        "Knative-Serving-Tag",
        "K-Original-Host",
        "X-Forwarded-For",
        "x-envoy",
    ] {
        assert!(set(name, "x").is_ok(), "{name}");
    }
}

#[test]
fn names_that_never_reach_a_route() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "host",
        "Knative-Serving-Revision",
        "Knative-Serving-Namespace",
        "Knative-Serving-Default-Route",
        "K-Proxy-Request",
        "K-Passthrough-Lb",
        "X-Envoy-Retry-On",
    ] {
        assert!(matched(name, "x").is_err(), "{name}");
    }
    // Tags and probes route; a WebSocket may be told by its upgrade.
    for name in [
        "Knative-Serving-Tag",
        "K-Network-Hash",
        "upgrade",
        "te",
        "content-length",
    ] {
        assert!(matched(name, "x").is_ok(), "{name}");
    }
}

#[test]
fn values_that_would_split_a_message() {
    for c in ['\0', '\x01', '\x08', '\n', '\x0b', '\r', '\x1f', '\x7f'] {
        let value = format!("a{c}b");
        assert!(set("x", &value).is_err(), "{c:?}");
        assert!(matched("x", &value).is_err(), "{c:?}");
    }
    for c in ['\t', ' ', '!', '~', '\u{80}', 'ü', '日'] {
        let value = format!("a{c}b");
        assert!(set("x", &value).is_ok(), "{c:?}");
        assert!(matched("x", &value).is_ok(), "{c:?}");
    }
    for value in [" a", "a ", "\ta", "a\t"] {
        assert!(matched("x", value).is_err(), "{value:?}");
    }
}

#[test]
fn sizes_that_envoy_takes() {
    let long = |length: usize| "a".repeat(length);
    assert!(set("x", &long(16_384)).is_ok());
    assert!(set("x", &long(16_385)).is_err());
    assert!(set("x", &"%".repeat(8_192)).is_ok());
    assert!(set("x", &"%".repeat(8_193)).is_err());
    assert!(set(&long(16_384), "x").is_ok());
    assert!(set(&long(16_385), "x").is_err());
    let many = |count: usize| -> BTreeMap<String, String> {
        (0..count)
            .map(|n| (format!("x-{n}"), String::new()))
            .collect()
    };
    assert!(to_set(&many(240), "at", &mut Rejections::default()).is_ok());
    assert!(to_set(&many(241), "at", &mut Rejections::default()).is_err());
}

#[test]
fn one_name_in_two_cases_has_one_value() {
    let twice = |a, b| {
        to_set(
            &texts([("X-A", a), ("x-a", b)]),
            "at",
            &mut Rejections::default(),
        )
    };
    assert_eq!(twice("1", "1"), Ok(texts([("x-a", "1")])));
    assert!(twice("1", "2").is_err());
}

#[test]
fn every_bad_header_is_told_and_none_of_the_values() {
    let mut rejections = Rejections::default();
    let headers = texts([
        ("Host", "secret"),
        ("X-Fine", "secret"),
        ("X-Bad", "secret\n"),
    ]);
    let line = to_set(&headers, "spec", &mut rejections).unwrap_err();
    assert!(line.starts_with(r#"spec["Host"]: "#), "{line}");
    let verdict = rejections.into_verdict();
    assert_eq!(verdict.rejections.len(), 2);
    assert!(!format!("{verdict:?}").contains("secret"));
}
