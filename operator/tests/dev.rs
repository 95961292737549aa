//! `sluice dev` with a real Envoy, as a person would use it.
//!
//! Envoy comes from `$ENVOY` or PATH. Without one each test says so in one line
//! and ends; with `SLUICE_REQUIRE_ENVOY=1` it fails instead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed unwrap is the failing assertion itself"
)]

mod support;

use std::fs;
use std::net::TcpListener;

use support::{Backend, Session, alive, envoy, ingress, wait_until};

const RATE: u32 = 300;

#[test]
fn an_edited_split_is_seen_live_without_a_failed_request() {
    let Some(envoy) = envoy() else { return };
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let folder = tempfile::tempdir().unwrap();
    let write = |percent| {
        let manifest = ingress(&[("one", one.port, percent), ("two", two.port, 100 - percent)]);
        fs::write(folder.path().join("hello.yaml"), manifest).unwrap();
    };
    write(100);
    let mut session = Session::start(&envoy, folder.path(), &[]);
    session.wait_for("ready");
    assert_eq!(
        session.get("hello.example.com").unwrap().as_deref(),
        Some("one")
    );

    let traffic = session.traffic("hello.example.com", RATE);
    write(0);
    println!("an edit was applied in {} ms", session.wait_for_edit());
    assert_eq!(
        session.get("hello.example.com").unwrap().as_deref(),
        Some("two")
    );
    write(50);
    session.wait_for_edit();
    let answers = traffic.stop();
    assert_eq!(answers.failed, 0, "{answers:?}");
    assert!(answers.by_name.contains_key("one") && answers.by_name.contains_key("two"));
    session.terminate();
}

#[test]
fn broken_edits_harm_nothing_and_say_where() {
    let Some(envoy) = envoy() else { return };
    let one = Backend::start("one");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.yaml");
    let good = ingress(&[("one", one.port, 100)]);
    fs::write(&file, &good).unwrap();
    let mut session = Session::start(&envoy, folder.path(), &[]);
    session.wait_for("ready");
    let traffic = session.traffic("hello.example.com", RATE);

    let broken = [
        (good.replacen("rules:", "rules: {", 1), "Syntax"),
        (
            good.replacen("percent: 100", "percent: all", 1),
            "WrongType",
        ),
        (good[..good.len() / 8].to_owned() + "\t{", "Syntax"),
    ];
    for (text, reason) in broken {
        fs::write(&file, text).unwrap();
        let fault = session.wait_for("fault");
        assert_eq!(fault["reason"], reason, "{fault}");
        assert_eq!(fault["file"], "hello.yaml", "{fault}");
        assert!(fault["line"].as_u64().is_some(), "{fault}");
        fs::write(&file, &good).unwrap();
        session.wait_for("mended");
    }
    // Refused as a whole: last good keeps serving.
    fs::write(&file, good.replacen("percent: 100", "percent: 90", 1)).unwrap();
    let verdict = session.wait_for("verdict");
    assert_eq!(verdict["outcome"], "Refused", "{verdict}");
    assert_eq!(
        verdict["rejections"][0]["reason"], "PercentSum",
        "{verdict}"
    );
    assert_eq!(verdict["rejections"][0]["file"], "hello.yaml", "{verdict}");
    assert_eq!(session.wait_for("plan")["change"], "hold");
    for _ in 0..50 {
        let answer = session.get("hello.example.com").unwrap();
        assert_eq!(answer.as_deref(), Some("one"));
    }
    let answers = traffic.stop();
    assert_eq!(answers.failed, 0, "{answers:?}");
    session.terminate();
}

#[test]
fn an_envoy_that_is_killed_comes_back_and_serves() {
    let Some(envoy) = envoy() else { return };
    let one = Backend::start("one");
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("a.yaml"),
        ingress(&[("one", one.port, 100)]),
    )
    .unwrap();
    let mut session = Session::start(&envoy, folder.path(), &[]);
    let pid = session.wait_for("gateway")["pid"].as_u64().unwrap();
    session.wait_for("ready");
    support::kill(pid, "KILL");
    let exited = session.wait_for("gateway");
    assert_eq!(exited["state"], "exited", "{exited}");
    let again = session.wait_for("ready");
    println!(
        "ready again {} ms after it was killed",
        again["milliseconds"]
    );
    assert_eq!(
        session.get("hello.example.com").unwrap().as_deref(),
        Some("one")
    );
    session.terminate();
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let Some(envoy) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = support::command(&envoy, folder.path(), &["--https-port", &port])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains(&format!("127.0.0.1:{port} is in use"))
            && words.contains("choose another port by --https-port"),
        "{words}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let output = support::command(&"envoy".into(), "no/such/folder".as_ref(), &[])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "sluice: folder no/such/folder: No such file or directory (os error 2); give a folder of \
         Knative manifests\n"
    );
}

#[test]
fn told_twice_to_end_it_waits_for_nothing() {
    let Some(envoy) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    fs::write(
        folder.path().join("a.yaml"),
        ingress(&[("silent", port, 100)]),
    )
    .unwrap();
    let mut session = Session::start(&envoy, folder.path(), &["--drain", "600"]);
    session.wait_for("ready");
    // A request under way for as long as nobody answers it.
    let traffic = session.traffic("hello.example.com", 1);
    let (_held, _) = silent.accept().unwrap();
    session.signal("TERM");
    while session.wait_for("gateway")["state"] != "draining" {}
    session.signal("TERM");
    assert_eq!(session.wait_for_end().code(), Some(0));
    traffic.stop();
}

#[test]
fn told_to_end_it_leaves_no_process_and_no_file() {
    let Some(envoy) = envoy() else { return };
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut session = Session::start(&envoy, folder.path(), &[]);
        let pid = session.wait_for("gateway")["pid"].as_u64().unwrap();
        session.wait_for("ready");
        assert!(session.run_dirs() > 0);
        session.signal(signal);
        assert_eq!(session.wait_for_end().code(), Some(0), "{signal}");
        assert_eq!(session.last_event()["event"], "stopped");
        assert!(!alive(pid), "envoy lives on after SIG{signal}");
        assert_eq!(session.run_dirs(), 0);
    }
}

#[test]
fn killed_outright_it_leaves_no_envoy() {
    let Some(envoy) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::start(&envoy, folder.path(), &[]);
    let pid = session.wait_for("gateway")["pid"].as_u64().unwrap();
    session.wait_for("ready");
    session.signal("KILL");
    session.wait_for_end();
    wait_until("envoy is gone", || !alive(pid));
}

#[test]
fn editors_ways_of_saving_are_all_seen() {
    let Some(envoy) = envoy() else { return };
    let backends = ["one", "two", "three", "four"].map(Backend::start);
    let manifest = |index: usize| {
        let backend: &Backend = &backends[index];
        ingress(&[(backend.name, backend.port, 100)])
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    let mut session = Session::start(&envoy, folder.path(), &[]);
    session.wait_for("ready");
    let mut seen = |name: &str| {
        session.wait_for_edit();
        let answer = session.get("hello.example.com").unwrap();
        assert_eq!(answer.as_deref(), Some(name));
    };
    // Created.
    fs::write(&file, manifest(0)).unwrap();
    seen("one");
    // Written beside and renamed over.
    let beside = folder.path().join(".a.yaml.tmp");
    fs::write(&beside, manifest(1)).unwrap();
    fs::rename(&beside, &file).unwrap();
    seen("two");
    // The old one moved away, a new one created.
    fs::rename(&file, folder.path().join("a.yaml~")).unwrap();
    fs::write(&file, manifest(2)).unwrap();
    seen("three");
    // Truncated and written in place, in a folder made just now.
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    fs::rename(&file, below.join("b.yaml")).unwrap();
    fs::write(below.join("b.yaml"), manifest(3)).unwrap();
    seen("four");
    session.terminate();
}
