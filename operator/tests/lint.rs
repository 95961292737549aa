//! `sluice lint` as it is called.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is the failing assertion itself"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Judges one manifest: what is said, and the exit code.
fn lint(manifest: &str, more: &[&str]) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), manifest).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["lint", "-f", "a.yaml"])
        .args(more)
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    )
}

fn hello() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/hello.yaml");
    fs::read_to_string(path).unwrap()
}

#[test]
fn what_is_served_whole_is_no_problem() {
    assert_eq!(
        lint(&hello(), &[]),
        ("1 Ingress: no problem\n".to_owned(), Some(0))
    );
}

#[test]
fn what_is_refused_is_named_with_its_line() {
    let (told, code) = lint(&hello().replacen("percent: 100", "percent: 99", 1), &[]);
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("refused: ingress default/hello: a.yaml:"),
        "{told}"
    );
    assert!(
        lines[0].contains(": PercentSum: spec.rules[0].http.paths[0].splits: found "),
        "{told}"
    );
    assert_eq!(lines.last(), Some(&"1 Ingress: 1 problem"));
}

#[test]
fn what_the_cluster_has_may_be_allowed_to_be_missing() {
    let alone = hello()
        .split("\n---\n")
        .find(|one| one.contains("kind: Ingress"))
        .unwrap()
        .to_owned();
    let (told, code) = lint(&alone, &[]);
    assert_eq!(code, Some(1));
    assert!(
        told.starts_with("partial: ingress default/hello: a.yaml:"),
        "{told}"
    );
    assert!(told.contains(": ServiceMissing: "), "{told}");
    let allowed = lint(&alone, &["--allow", "ServiceMissing"]);
    assert_eq!(allowed, ("1 Ingress: no problem\n".to_owned(), Some(0)));
}

#[test]
fn files_that_cannot_be_read_are_problems_for_programs_too() {
    let (told, code) = lint("kind: [", &["-o", "json"]);
    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["faults"][0]["reason"], "Syntax");
    assert_eq!(told["faults"][0]["file"], "a.yaml");
    let (told, code) = lint(
        &hello().replacen("percent: 100", "percent: 99", 1),
        &["-o", "json"],
    );
    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(&told).unwrap();
    let found = &told["rejections"][0];
    assert_eq!(
        (&found["severity"], &found["reason"]),
        (&"refused".into(), &"PercentSum".into())
    );
    assert!(
        found["line"].is_u64() && found["fix"].is_string(),
        "{found}"
    );
}
