//! No child outlives a parent that is killed by SIGKILL.
//!
//! This file is three programs: without arguments the test; with `parent` a
//! process that starts a child and waits; with `launch` the launcher that binds
//! the child to it. Hence no test harness.

// No function here is marked as a test, so clippy takes none for one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod support;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sluice_gateway::{Envoy, EnvoyOptions, Launcher, RunDir, exec_bound_to_parent};
use support::{is_alive, real_envoy, script};

fn main() {
    let mut arguments = env::args_os().skip(1);
    let role = arguments.next();
    match role.as_ref().and_then(|role| role.to_str()) {
        Some("launch") => {
            let error = exec_bound_to_parent(arguments);
            eprintln!("launch: {error}");
            std::process::exit(1);
        }
        Some("parent") => be_the_parent(arguments.map(PathBuf::from).collect()),
        // For tools that ask every test file what it holds.
        Some("--list") => println!("orphan: test"),
        _ if cfg!(target_os = "linux") => run_tests(),
        _ => println!("orphan: left out, this system has no parent-death signal"),
    }
}

fn run_tests() {
    a_bound_child_ends_with_its_parent();
    a_bound_envoy_ends_with_its_parent();
    a_child_whose_parent_is_gone_already_does_not_start();
    a_launcher_without_a_program_says_so();
    println!("orphan: 4 tests passed");
}

/// Starts a child through the launcher, tells its process id in the file `child`
/// of the run directory, and waits to be killed.
fn be_the_parent(arguments: Vec<PathBuf>) {
    let [binary, run] = arguments.try_into().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let admin = run.join("admin.sock");
    let bootstrap = json!({"admin": {"address": {"pipe": {"path": admin}}}});
    let mut options = EnvoyOptions::new(binary, bootstrap, run.clone());
    options.concurrency = std::num::NonZeroU32::new(1);
    options.launcher = Some(this_file_as("launch"));
    // The thread that starts Envoy ends before Envoy does, which must not count
    // as the parent's end. (The script never comes up, and tells its id itself.)
    let handle = runtime.handle().clone();
    let starter = std::thread::spawn(move || handle.block_on(Envoy::start(options)));
    let envoy = starter.join().unwrap().unwrap();
    fs::write(run.join("new"), envoy.pid().to_string()).unwrap();
    fs::rename(run.join("new"), run.join("child")).unwrap();
    runtime.block_on(std::future::pending::<()>());
}

fn this_file_as(role: &str) -> Launcher {
    Launcher::this_executable(role).unwrap()
}

/// The process id in a file, once it is there.
fn wait_for_pid(file: &Path, parent: &mut Child) -> u32 {
    let began = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(file)
            && let Ok(pid) = text.trim().parse()
        {
            return pid;
        }
        assert!(
            parent.try_wait().unwrap().is_none(),
            "the parent ended early"
        );
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "no child within 30 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill_parent_of(binary: &Path, run: &RunDir) -> Duration {
    let mut parent = Command::new(env::current_exe().unwrap())
        .args([Path::new("parent"), binary, run.path()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let child = wait_for_pid(&run.path().join("child"), &mut parent);
    // It became the program that was asked for, in the process that was started.
    let program = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap();
    assert!(!program.contains("launch"), "{program}");
    assert!(is_alive(child));
    // Long enough for a signal that should not have been sent.
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_alive(child));

    let began = Instant::now();
    parent.kill().unwrap();
    parent.wait().unwrap();
    while is_alive(child) {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the child lives on"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    began.elapsed()
}

fn a_bound_child_ends_with_its_parent() {
    let run = RunDir::create().unwrap();
    let binary = run.path().join("envoy");
    // Deaf to all that can be ignored.
    script(
        &binary,
        "trap '' TERM INT HUP; echo $$ > \"$(dirname \"$2\")/child\"; while :; do sleep 0.1; done",
    );
    let took = kill_parent_of(&binary, &run);
    println!("orphan: a deaf child ended {took:?} after its parent");
}

fn a_bound_envoy_ends_with_its_parent() {
    let Some(binary) = real_envoy("a_bound_envoy_ends_with_its_parent") else {
        return;
    };
    let run = RunDir::create().unwrap();
    let took = kill_parent_of(&binary, &run);
    println!("orphan: envoy ended {took:?} after its parent");
}

fn a_child_whose_parent_is_gone_already_does_not_start() {
    // A process id that is not this launcher's parent: the parent has ended and
    // somebody else has taken its place.
    let run = RunDir::create().unwrap();
    let mark = run.path().join("mark");
    let output = Command::new(env::current_exe().unwrap())
        .args(["launch", "1", "/bin/touch"])
        .arg(&mark)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the parent has already ended"), "{stderr}");
    assert!(!output.status.success() && !mark.exists());
}

fn a_launcher_without_a_program_says_so() {
    for arguments in [
        vec![],
        vec!["nobody", "/bin/true"],
        vec!["0", "/bin/true"],
        vec!["7"],
    ] {
        let error = exec_bound_to_parent(arguments.into_iter().map(OsString::from));
        assert!(
            error
                .to_string()
                .starts_with("expected the parent's process id"),
            "{error}"
        );
    }
}
