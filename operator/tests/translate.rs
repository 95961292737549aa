//! `sluice translate` as it is called.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is the failing assertion itself"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn sluice(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/testdata")
        .join(name)
}

fn hello() -> String {
    fs::read_to_string(fixture("hello.yaml")).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Translates one manifest in a folder of its own.
fn translate(manifest: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, manifest).unwrap();
    let mut arguments = vec!["translate", "-f", file.to_str().unwrap()];
    arguments.extend(more);
    sluice(&arguments)
}

/// Compares with a file; `SLUICE_UPDATE_GOLDEN=1` writes it.
fn assert_golden(name: &str, found: &str) {
    let path = fixture(name);
    if std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn a_sample_gives_exactly_these_plans() {
    let output = sluice(&[
        "translate",
        "-o",
        "ir",
        "-f",
        fixture("hello.yaml").to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    assert_golden("hello.ir.yaml", &stdout(&output));
}

/// What each resource says is the business of the room that builds it.
#[test]
fn a_sample_gives_these_resources_by_type_and_name() {
    let file = fixture("hello.yaml");
    let output = sluice(&["translate", "-o", "json", "-f", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let resources: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |kind: &str| -> Vec<&str> {
        let by_name = resources[kind].as_object().unwrap();
        by_name.keys().map(String::as_str).collect()
    };
    assert_eq!(names("CDS"), ["default/hello/80"]);
    assert_eq!(names("EDS"), ["default/hello/80"]);
    let listeners = [
        "external-http",
        "external-https",
        "internal-http",
        "internal-https",
        "readiness",
        "statistics",
    ];
    assert_eq!(names("LDS"), listeners);
    let scopes = ["ext", "int"].map(|side| format!("{side}/hello.example.com"));
    assert_eq!(names("SRDS"), scopes);
    let tables = ["ext/default/hello", "int/default/hello", "sluice/readiness"];
    assert_eq!(names("RDS"), tables);
    let endpoint = "/default~1hello~180/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    let address = resources["EDS"].pointer(endpoint).unwrap();
    assert_eq!(
        *address,
        serde_json::json!({"address": "10.0.0.1", "port_value": 8080})
    );

    let output = sluice(&["translate", "-f", file.to_str().unwrap()]);
    let yaml = stdout(&output);
    for (kind, by_name) in resources.as_object().unwrap() {
        assert!(yaml.contains(&format!("{kind}:\n")), "{kind}");
        for name in by_name.as_object().unwrap().keys() {
            assert!(yaml.contains(&format!("\n  {name}:\n")), "{kind} {name}");
        }
    }
}

#[test]
fn standard_input_is_a_file() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["translate", "-o", "ir", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(hello().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        stdout(&output),
        fs::read_to_string(fixture("hello.ir.yaml")).unwrap()
    );
}

#[test]
fn the_demo_folder_is_accepted_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/samples/demo");
    let folder = folder.to_str().unwrap();
    let output = sluice(&[
        "translate",
        "--strict",
        "--allow-loopback",
        "-o",
        "ir",
        "-f",
        folder,
    ]);
    assert_eq!(stderr(&output), "");
    assert!(output.status.success());
    let plans = stdout(&output);
    for ingress in ["hello", "greeter", "echo", "secure", "internal"] {
        assert!(plans.contains(&format!("default/{ingress}:")), "{ingress}");
    }
    assert!(!plans.contains("BEGIN PRIVATE KEY"));
}

#[test]
fn a_refused_ingress_fails_with_its_place_and_still_shows_the_rest() {
    let output = translate(
        &hello().replace("percent: 100", "percent: 90"),
        &["-o", "ir"],
    );
    assert_eq!(output.status.code(), Some(1));
    let complaint = stderr(&output);
    assert!(
        complaint.starts_with("refused: ingress default/hello: "),
        "{complaint}"
    );
    assert!(
        complaint.contains("a.yaml:11: PercentSum: spec.rules[0]"),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(stdout(&output).contains("Refused"));
}

#[test]
fn a_partial_ingress_is_said_and_fails_only_if_strict() {
    let manifest = hello().replace("serviceName: hello", "serviceName: missing");
    let output = translate(&manifest, &[]);
    assert_eq!(output.status.code(), Some(0));
    let complaint = stderr(&output);
    assert!(
        complaint.starts_with("partial: ingress default/hello: "),
        "{complaint}"
    );
    assert!(complaint.contains("ServiceMissing"), "{complaint}");
    assert_eq!(translate(&manifest, &["--strict"]).status.code(), Some(1));
}

#[test]
fn files_that_cannot_be_read_whole_fail_and_print_nothing() {
    let cases = [
        (
            hello().replace("percent: 100", "percnet: 100"),
            "a.yaml:15:17: ingress default/hello: spec.rules[0].http.paths[0].splits[0].percnet: \
             unknown field",
        ),
        (
            hello().replace("percent: 100", "percent: all"),
            "a.yaml:15:26: ingress default/hello: spec.rules[0].http.paths[0].splits[0].percent: \
             found the text \"all\", expected an integer",
        ),
        (
            hello().replace("      http:", "\thttp:"),
            "a.yaml:8:19: not YAML or JSON: while scanning a plain scalar, found a tab",
        ),
        (
            format!("{0}---\n{0}", hello()),
            "a.yaml:34: ingress default/hello: the same object as at line 1",
        ),
    ];
    for (manifest, expected) in cases {
        let output = translate(&manifest, &[]);
        assert_eq!(output.status.code(), Some(1), "{expected}");
        assert_eq!(stdout(&output), "", "{expected}");
        let complaint = stderr(&output);
        let first = complaint.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("error: ") && first.contains(expected),
            "{complaint}"
        );
    }
}

#[test]
fn the_same_object_in_two_files_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.yaml", "b.yaml"] {
        fs::write(folder.path().join(name), hello()).unwrap();
    }
    let output = sluice(&["translate", "-f", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = stderr(&output);
    assert!(complaint.contains("b.yaml:1: ingress default/hello: the same object as in"));
}

#[test]
fn other_kinds_and_classes_are_said_but_do_not_fail() {
    let manifest = hello()
        + "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\n";
    let output = translate(&manifest, &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).starts_with("note: "), "{}", stderr(&output));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [
        &["translate"][..],
        &["translate", "-f", "a", "-o", "toml"],
        &["no-such-command"],
        &["dev"],
        &[],
    ] {
        assert_eq!(sluice(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = sluice(&["translate", "-f", "no/such/file.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: no/such/file.yaml: no such file\n");
}

#[test]
fn the_version_is_told() {
    let output = sluice(&["--version"]);
    assert!(output.status.success());
    assert_eq!(
        stdout(&output),
        format!("sluice {}\n", env!("CARGO_PKG_VERSION"))
    );
}
