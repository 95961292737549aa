use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::fault::{FaultReason, Severity};

const INGRESS: &str = "\
apiVersion: networking.internal.knative.dev/v1alpha1
kind: Ingress
metadata:
  name: hello
spec:
  rules:
    - hosts: [hello.example.com]
      visibility: ExternalIP
      http:
        paths:
          - splits:
              - serviceName: hello
                serviceNamespace: default
                servicePort: 80
                percent: 100
";

fn reading(text: &str) -> Reading {
    read(Path::new("a.yaml"), text.as_bytes(), Strictness::Warn)
}

fn ids(reading: &Reading) -> Vec<String> {
    reading.objects.keys().map(ToString::to_string).collect()
}

/// The only fault of a text, as it is shown.
fn fault(text: &str) -> String {
    let reading = reading(text);
    assert_eq!(reading.faults.len(), 1, "{:#?}", reading.faults);
    reading.faults[0].to_string()
}

#[test]
fn a_namespace_left_out_is_default() {
    assert_eq!(ids(&reading(INGRESS)), ["ingress default/hello"]);
}

#[test]
fn many_documents_and_lists_are_read() {
    let text = "\
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: one}
---
# nothing but a comment
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Endpoints, metadata: {name: a, namespace: one}}
  - {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a-x}}
  - {apiVersion: v1, kind: Secret, metadata: {name: s}}
";
    let reading = reading(text);
    assert!(reading.faults.is_empty(), "{:#?}", reading.faults);
    assert_eq!(
        ids(&reading),
        [
            "service one/a",
            "endpoints one/a",
            "endpointslice default/a-x",
            "secret default/s"
        ]
    );
}

#[test]
fn json_with_tabs_is_read() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n";
    assert_eq!(ids(&reading(text)), ["service default/a"]);
}

#[test]
fn byte_order_mark_and_crlf_are_read() {
    let text = format!("\u{feff}{}", INGRESS.replace('\n', "\r\n"));
    assert_eq!(ids(&reading(&text)), ["ingress default/hello"]);
}

#[test]
fn empty_files_hold_nothing() {
    for text in ["", "\n", "---\n---\n", "# only words\n", "~\n"] {
        let reading = reading(text);
        assert!(
            reading.objects.is_empty() && reading.faults.is_empty(),
            "{text:?}"
        );
        assert!(!reading.unclear, "{text:?}");
    }
}

#[test]
fn a_wrong_kind_of_value_names_line_field_found_and_expected() {
    let cases = [
        (
            "percent: 100",
            "percent: ninety",
            "a.yaml:15:26: ingress default/hello: spec.rules[0].http.paths[0].splits[0].percent: \
             found the text \"ninety\", expected an integer",
        ),
        (
            "hosts: [hello.example.com]",
            "hosts: hello.example.com",
            "a.yaml:7:14: ingress default/hello: spec.rules[0].hosts: found the text \
             \"hello.example.com\", expected a list",
        ),
        (
            "serviceName: hello",
            "serviceName: 7",
            "a.yaml:12:30: ingress default/hello: \
             spec.rules[0].http.paths[0].splits[0].serviceName: found the number 7, expected \
             text; put it in quotes",
        ),
        (
            "visibility: ExternalIP",
            "visibility: yes",
            "a.yaml:8:19: ingress default/hello: spec.rules[0].visibility: found the boolean \
             true, expected text; put it in quotes",
        ),
        (
            "        paths:\n          - splits:",
            "        paths:\n          - headers: {x: 1}\n            splits:",
            "a.yaml:11:26: ingress default/hello: spec.rules[0].http.paths[0].headers.x: found \
             the number 1, expected a map with fields such as exact",
        ),
        (
            "  name: hello\n",
            "  name: hello\n  labels: {example.com/team: 1}\n",
            "a.yaml:5:30: ingress default/hello: metadata.labels[example.com/team]: found the \
             number 1, expected text; put it in quotes",
        ),
    ];
    for (right, wrong, expected) in cases {
        assert!(INGRESS.contains(right), "{right}");
        assert_eq!(fault(&INGRESS.replacen(right, wrong, 1)), expected);
    }
}

#[test]
fn an_unknown_field_is_a_warning_or_an_error_and_names_its_place() {
    let text = INGRESS.replacen("percent: 100", "percnet: 100", 1);
    for (strictness, severity, objects) in [
        (Strictness::Warn, Severity::Warning, 1),
        (Strictness::Refuse, Severity::Error, 0),
    ] {
        let reading = read(Path::new("a.yaml"), text.as_bytes(), strictness);
        assert_eq!(reading.faults[0].severity, severity);
        assert_eq!(reading.objects.len(), objects);
        assert_eq!(
            reading.faults[0].to_string(),
            "a.yaml:15:17: ingress default/hello: spec.rules[0].http.paths[0].splits[0].percnet: \
             unknown field; did you mean percent?"
        );
    }
}

#[test]
fn fields_that_sluice_does_not_use_are_known() {
    let text = "\
apiVersion: v1
kind: Service
metadata:
  name: a
  uid: 7
  managedFields: [{manager: kubectl, fieldsV1: {f:spec: {}}}]
spec:
  selector: {app: a}
  clusterIP: 10.0.0.1
  ports: [{name: http, port: 80, nodePort: 30000}]
status: {loadBalancer: {}}
";
    let reading = read(Path::new("a.yaml"), text.as_bytes(), Strictness::Refuse);
    assert!(reading.faults.is_empty(), "{:#?}", reading.faults);
}

#[test]
fn a_wrong_port_names_the_field() {
    let shown = fault(&INGRESS.replacen("servicePort: 80", "servicePort: [80]", 1));
    assert!(
        shown.starts_with(
            "a.yaml:14:30: ingress default/hello: \
             spec.rules[0].http.paths[0].splits[0].servicePort: found a list, expected "
        ),
        "{shown}"
    );
}

#[test]
fn null_is_the_same_as_left_out() {
    let text = INGRESS
        .replacen("percent: 100", "percent: null", 1)
        .replacen("visibility: ExternalIP", "visibility:", 1)
        .replacen("metadata:\n", "metadata:\n  creationTimestamp: null\n", 1);
    assert!(reading(&text).faults.is_empty());
}

#[test]
fn a_fault_in_one_document_leaves_its_neighbours() {
    let broken = INGRESS.replacen("percent: 100", "percent: {}", 1);
    let text = format!(
        "{broken}---\n{}",
        INGRESS.replacen("name: hello", "name: other", 1)
    );
    let reading = reading(&text);
    assert_eq!(ids(&reading), ["ingress default/other"]);
    let broken: Vec<_> = reading.broken.iter().map(ToString::to_string).collect();
    assert_eq!(broken, ["ingress default/hello"]);
    assert!(!reading.unclear);
}

#[test]
fn half_saved_text_is_unclear() {
    let cut = INGRESS.find("default\n").unwrap();
    for text in [
        format!("{}: {{", &INGRESS[..cut]),
        format!("{}\"", &INGRESS[..cut]),
        "apiVersion: v1\nkind: Ser\u{fffd}\n\tmetadata".into(),
        "kind: Service\n".into(),
        "apiVersion: v1\nkind: Service\nmetadata:\n  nam".into(),
    ] {
        let reading = reading(&text);
        assert!(reading.unclear, "{text:?}");
        assert_eq!(reading.faults.len(), 1, "{text:?}");
    }
}

#[test]
fn tabs_are_named_with_their_place() {
    let shown = fault("apiVersion: v1\nkind: Service\nmetadata:\n\tname: a\n");
    assert!(
        shown.starts_with("a.yaml:4:2: not YAML or JSON: tab"),
        "{shown}"
    );
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_place() {
    let reading = read(Path::new("a.yaml"), b"a: 1\nb: \xff\n", Strictness::Warn);
    let shown = reading.faults[0].to_string();
    assert!(
        shown.starts_with("a.yaml:2:4: found bytes that are not UTF-8"),
        "{shown}"
    );
    assert!(reading.unclear);
}

#[test]
fn aliases_that_explode_are_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let shown = fault(&text);
    assert!(
        shown.contains("aliases that stand for more than"),
        "{shown}"
    );
}

#[test]
fn deep_nesting_is_refused_and_harms_no_stack() {
    for depth in [500, 100_000] {
        let shown = fault(&("[".repeat(depth) + &"]".repeat(depth)));
        assert!(shown.starts_with("a.yaml:1"), "{shown}");
    }
}

#[test]
fn anchors_are_read() {
    let text = INGRESS.replacen("[hello.example.com]", "&hosts [hello.example.com]", 1)
        + "  tls:\n    - {hosts: *hosts, secretName: s, secretNamespace: default}\n";
    assert!(reading(&text).faults.is_empty());
}

#[test]
fn other_kinds_are_never_passed_over_in_silence() {
    let cases = [
        (
            "serving.knative.dev/v1",
            "Service",
            "without Serving nothing acts on it",
        ),
        (
            "networking.k8s.io/v1",
            "Ingress",
            "Sluice serves Knative's Ingress",
        ),
        ("apps/v1", "Deployment", "not read here"),
    ];
    for (version, kind, words) in cases {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let reading = reading(&text);
        assert_eq!(reading.faults.len(), 1);
        assert_eq!(reading.faults[0].severity, Severity::Note);
        assert_eq!(reading.faults[0].reason, FaultReason::KindNotRead);
        let shown = reading.faults[0].to_string();
        let start = format!("a.yaml:2:1: {kind} \"a\" ({version}): not read here");
        assert!(
            shown.starts_with(&start) && shown.contains(words),
            "{shown}"
        );
    }
}

#[test]
fn another_version_of_a_kind_that_is_read_is_a_fault() {
    let shown = fault("apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\n");
    assert_eq!(
        shown,
        "a.yaml:1:1: EndpointSlice (discovery.k8s.io/v1beta1): apiVersion: found \
         \"discovery.k8s.io/v1beta1\", expected \"discovery.k8s.io/v1\""
    );
}

#[test]
fn an_ingress_of_another_class_is_left_alone_and_said() {
    let class = |class: &str| {
        let annotations =
            format!("  annotations:\n    networking.knative.dev/ingress.class: {class}\n");
        INGRESS.replacen("spec:\n", &format!("{annotations}spec:\n"), 1)
    };
    let other = reading(&class("kourier.ingress.networking.knative.dev"));
    assert!(other.objects.is_empty() && other.broken.is_empty() && !other.unclear);
    assert_eq!(other.faults[0].reason, FaultReason::OtherClass);
    assert!(
        other.faults[0]
            .to_string()
            .starts_with("a.yaml:6:5: ingress default/hello: left")
    );
    let own = reading(&class("sluice.ingress.networking.knative.dev"));
    assert_eq!(own.objects.len(), 1);
    assert!(own.faults.is_empty());
}

#[test]
fn names_that_the_api_server_would_not_take_are_refused() {
    for (name, namespace) in [
        ("a/b", "default"),
        ("A", "default"),
        ("-a", "default"),
        ("a", "a.b"),
        ("a", "\"\\n\""),
        ("a..b", "default"),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        );
        let reading = reading(&text);
        assert_eq!(reading.faults[0].reason, FaultReason::InvalidName, "{text}");
        assert!(reading.objects.is_empty());
    }
}

#[test]
fn the_same_object_twice_is_read_once_and_said() {
    let text = format!("{INGRESS}---\n{INGRESS}");
    let shown = fault(&text);
    assert_eq!(
        shown,
        "a.yaml:17: ingress default/hello: the same object as at line 1; this one is left out, \
         remove one of them"
    );
    assert_eq!(reading(&text).objects.len(), 1);
}

#[test]
fn the_same_key_twice_is_a_fault_with_its_place() {
    let shown = fault(&INGRESS.replacen("spec:\n", "spec: {}\nspec:\n", 1));
    assert_eq!(
        shown,
        "a.yaml:6:1: not YAML or JSON: duplicate mapping key: spec"
    );
}

#[test]
fn secret_values_never_show_in_faults() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    for data in [
        "data: {tls.key: 918273645}\n",
        "stringData: {tls.key: [918273645]}\n",
        "data: 918273645\n",
        "type: 918273645\n",
    ] {
        let reading = reading(&format!("{secret}{data}"));
        let shown = format!("{:?}", reading.faults);
        assert!(
            !reading.faults.is_empty() && !shown.contains("918273645"),
            "{shown}"
        );
    }
}

#[test]
fn a_manifest_of_more_than_a_megabyte_is_read() {
    let mut text = INGRESS.to_owned();
    let mut hosts = 0;
    while text.len() < 1_400_000 {
        text += &format!(
            "    - hosts: [h{hosts}.example.com]\n      http:\n        paths:\n          - splits: \
             [{{serviceName: hello, serviceNamespace: default, servicePort: 80, percent: 100}}]\n"
        );
        hosts += 1;
    }
    let reading = reading(&text);
    assert!(reading.faults.is_empty(), "{:#?}", reading.faults);
    assert_eq!(reading.objects.len(), 1);
}

#[test]
fn a_thousand_documents_in_one_file_are_read() {
    let documents: Vec<String> = (0..1500)
        .map(|index| INGRESS.replacen("name: hello", &format!("name: hello-{index}"), 1))
        .collect();
    assert_eq!(reading(&documents.join("---\n")).objects.len(), 1500);
}

/// Text that is close enough to a manifest to get deep into the reader.
fn nearly() -> impl Strategy<Value = String> {
    let line = prop::sample::select(INGRESS.lines().collect::<Vec<_>>());
    let junk = prop_oneof![
        Just(String::new()),
        ".{0,12}",
        "[ \t]{0,4}[-?:{}\\[\\]&*!|>'\"%@`#,]{1,4}[a-z0-9]{0,3}",
        Just("---".to_owned()),
        Just("  <<: *a".to_owned()),
        Just("kind: List".to_owned()),
        Just("items: [{}, [], 1]".to_owned()),
    ];
    let part = prop_oneof![4 => line.prop_map(str::to_owned), 1 => junk];
    prop::collection::vec(part, 0..24).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(Path::new("a.yaml"), &bytes, Strictness::Refuse);
    }

    #[test]
    fn no_text_panics_and_faults_lie_within_it(text in nearly()) {
        let reading = reading(&text);
        let lines = text.lines().count() as u64 + 1;
        for fault in reading.faults {
            prop_assert!(fault.line.is_none_or(|line| line <= lines + 1), "{fault}");
            prop_assert!(!fault.message.contains('\n'), "{fault}");
        }
    }

    #[test]
    fn a_cut_manifest_is_whole_or_said(cut in 0..INGRESS.len()) {
        let reading = reading(&INGRESS[..cut]);
        prop_assert!(
            reading.faults.iter().all(|fault| !fault.message.is_empty())
        );
    }
}
