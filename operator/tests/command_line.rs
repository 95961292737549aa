//! What every command has around it: names, completions, pages, the version.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is the failing assertion itself"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env_remove("RUST_LOG")
        .env_remove("KUBECONFIG")
        .env("HOME", "/nowhere")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap()
}

fn sluice(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = run(Path::new(SLUICE), arguments);
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

#[test]
fn a_plugin_helps_under_the_name_it_is_called_by() {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in [
        ("kn-sluice", "kn sluice"),
        ("kubectl-sluice", "kubectl sluice"),
    ] {
        let plugin = folder.path().join(file);
        symlink(SLUICE, &plugin).unwrap();
        let help = String::from_utf8(run(&plugin, &["dev", "--help"]).stdout).unwrap();
        assert!(help.contains(&format!("Usage: {name} dev ")), "{help}");
        let wrong = String::from_utf8(run(&plugin, &["dev"]).stderr).unwrap();
        assert!(wrong.contains(&format!("Usage: {name} dev ")), "{wrong}");
        let script = String::from_utf8(run(&plugin, &["completions", "bash"]).stdout).unwrap();
        assert!(script.contains(&format!(" {file}\n")), "{script}");
    }
}

#[test]
fn every_shell_has_completions_of_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, said, code) = sluice(&["completions", shell]);
        assert_eq!(code, Some(0), "{shell}: {said}");
        for word in ["translate", "--strict", "version", "--client"] {
            // Fish has options without their dashes.
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn every_command_in_the_help_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let (_, said, code) = sluice(&["man", pages.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let written: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let (help, _, _) = sluice(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let mut expected = 0;
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        // A command's name is indented by two, its further lines by more.
        let Some(command) = line.strip_prefix("  ").filter(|l| !l.starts_with(' ')) else {
            continue;
        };
        let command = command.split_whitespace().next().unwrap();
        if command == "help" {
            continue;
        }
        assert!(
            written.contains(&format!("sluice-{command}.1")),
            "{command}: {written:?}"
        );
        expected += 1;
    }
    assert!(expected >= 6, "{help}");
    assert!(
        !written.iter().any(|page| page.contains("exec-bound")),
        "{written:?}"
    );
    let (first, _, _) = sluice(&["man"]);
    assert_eq!(first, fs::read_to_string(pages.join("sluice.1")).unwrap());
}

#[test]
fn the_own_version_needs_no_cluster() {
    let own = format!("client    {}", env!("CARGO_PKG_VERSION"));
    let (told, said, code) = sluice(&["version", "--client"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(told.starts_with(&own), "{told}");

    let (told, said, code) = sluice(&["version"]);
    assert_eq!(code, Some(3));
    assert!(
        told.starts_with(&own) && told.lines().count() == 1,
        "{told}"
    );
    assert!(
        said.starts_with("sluice: ") && said.lines().count() == 1,
        "{said}"
    );

    let (told, _, _) = sluice(&["version", "--client", "-o", "json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["client"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(told.get("cluster").is_none(), "{told}");
}

#[test]
fn who_asks_without_a_cluster_is_told_so_in_one_line() {
    let asking: [&[&str]; 4] = [
        &["check"],
        &["status"],
        &["explain", "ksvc/hello"],
        &["why", "http://hello.example.com/"],
    ];
    for arguments in asking {
        let (told, said, code) = sluice(arguments);
        assert_eq!((code, told.as_str()), (Some(3), ""), "{arguments:?}");
        assert!(said.starts_with("sluice: no cluster: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// To go on as the account of a pod would be to speak to another cluster.
#[test]
fn a_kubeconfig_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    fs::write(&file, "contexts: {").unwrap();
    for path in [file.as_path(), Path::new("/nowhere/config")] {
        let output = Command::new(SLUICE)
            .arg("status")
            .env("KUBECONFIG", path)
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        let named = format!(
            "sluice: reading the kubeconfig of $KUBECONFIG, {}: ",
            path.display()
        );
        assert!(said.starts_with(&named), "{said}");
    }
}

#[test]
fn what_is_asked_wrongly_says_what_would_be_right() {
    let (_, said, code) = sluice(&["why", "ftp://hello.example.com/"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("expected http://HOST/PATH"), "{said}");
    let (_, said, code) = sluice(&["explain", "pod/hello"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("expected ksvc or ingress"), "{said}");
    let (_, said, code) = sluice(&["lint", "-f", "a.yaml", "--allow", "Nothing"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`ServiceMissing`"), "{said}");
}

#[test]
fn codes_are_listed_without_a_cluster() {
    let (told, said, code) = sluice(&["check", "--codes"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(told.contains("SLC0401  settings "), "{told}");
}
