//! The life of the child process, with an Envoy played by a shell script.

// Clippy counts functions marked as tests only, not closures' helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use sluice_gateway::{Admin, Envoy, EnvoyOptions, GatewayError, LogLevel, RunDir};
use support::{FakeEnvoy, is_alive, until};

/// Comes up and goes on until it gets a signal.
const LASTING: &str = "echo $$ > \"$run/pid\"; : > \"$run/up\"; exec sleep 600";

#[tokio::test]
async fn it_is_started_as_asked_in_private() {
    let fake = FakeEnvoy::new("echo \"$@\" > \"$run/arguments\"; : > \"$run/up\"; exec sleep 600");
    let mut options = fake.options.clone();
    options.concurrency = std::num::NonZeroU32::new(3);
    options.drain_time = Duration::from_secs(42);
    options.log_level = LogLevel::Info;
    let envoy = Envoy::start(options).await.unwrap();
    let bootstrap = fake.file("bootstrap.json");
    assert_eq!(
        fs::read_to_string(fake.file("arguments")).unwrap().trim(),
        format!(
            "--config-path {} --disable-hot-restart --log-level info --log-format [%l][%n] %v --log-format-escaped --file-flush-interval-msec 1000 --drain-time-s 42 --concurrency 3",
            bootstrap.display()
        )
    );
    assert_eq!(
        fs::metadata(&bootstrap).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&fs::read(&bootstrap).unwrap()).unwrap(),
        fake.options.bootstrap
    );
    // In a group of its own, where Ctrl-C of a terminal does not reach it.
    let pid = rustix::process::Pid::from_raw(i32::try_from(envoy.pid()).unwrap());
    assert_eq!(rustix::process::getpgid(pid).ok(), pid);
    envoy.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn an_end_before_it_is_up_tells_code_and_last_words() {
    let fake = FakeEnvoy::new("echo '[critical][main] the disk is on fire' >&2; exit 3");
    let error = Envoy::start(fake.options.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "envoy ended before it was up: exit code 3; its last lines: the disk is on fire"
    );
}

#[tokio::test]
async fn a_port_in_use_names_listener_and_port() {
    let fake = FakeEnvoy::new(
        r"cat >&2 <<'END'
[error][config] listener \'external-http\' failed to bind or apply socket options: cannot bind \'127.0.0.1:8080\': Address already in use
[critical][main] error `cannot bind \'127.0.0.1:8080\': Address already in use` initializing config \'x\'
cannot bind '127.0.0.1:8080': Address already in use
END
        exit 1",
    );
    let error = Envoy::start(fake.options.clone()).await.unwrap_err();
    assert!(matches!(error, GatewayError::Bind { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "listener external-http: envoy cannot listen on 127.0.0.1:8080 (address already in use); another process listens there: end it or choose another port"
    );
}

#[tokio::test]
async fn a_taken_address_is_noticed_before_anything_runs() {
    let fake = FakeEnvoy::new(LASTING);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = fake.options.clone();
    options.listens = vec![sluice_gateway::ListenAddress {
        listener: "external-http".to_owned(),
        address: taken.local_addr().unwrap(),
    }];
    let error = Envoy::start(options).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::AddressInUse { .. }),
        "{error:?}"
    );
    assert!(!fake.file("pid").exists(), "it was started all the same");
}

#[tokio::test]
async fn a_refused_bootstrap_is_told_in_envoys_words() {
    let fake = FakeEnvoy::new(
        r"cat >&2 <<'END'
[critical][main] error `no such field:   \n \'typo\'` initializing config \'x\'
END
        exit 1",
    );
    let error = Envoy::start(fake.options.clone()).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::BootstrapRefused { .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .ends_with("bootstrap.json: no such field: 'typo'"),
        "{error}"
    );
}

#[tokio::test]
async fn bad_options_are_refused_before_anything_runs() {
    let fake = FakeEnvoy::new(LASTING);
    let with = |change: &dyn Fn(&mut EnvoyOptions)| {
        let mut options = fake.options.clone();
        change(&mut options);
        Envoy::start(options)
    };

    for admin in [
        json!(null),
        json!({"socket_address": {}}),
        json!({"pipe": {"path": "@abstract"}}),
    ] {
        let error = with(&|options| options.bootstrap["admin"]["address"] = admin.clone());
        let error = error.await.unwrap_err();
        assert!(
            matches!(error, GatewayError::NoAdminSocket { .. }),
            "{error:?}"
        );
    }
    let long = format!("/tmp/{}", "x".repeat(120));
    let error =
        with(&|options| options.bootstrap["admin"]["address"]["pipe"]["path"] = json!(long));
    let error = error.await.unwrap_err();
    assert!(
        matches!(error, GatewayError::SocketPathTooLong { .. }),
        "{error:?}"
    );

    fs::set_permissions(fake.run.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = with(&|_| {}).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::RunDirNotPrivate { .. }),
        "{error:?}"
    );
    fs::set_permissions(fake.run.path(), fs::Permissions::from_mode(0o700)).unwrap();

    let error = with(&|options| options.binary = PathBuf::from("/nowhere/envoy"));
    let error = error.await.unwrap_err();
    assert!(matches!(error, GatewayError::Spawn { .. }), "{error:?}");
    assert!(
        error.to_string().starts_with("starting /nowhere/envoy: "),
        "{error}"
    );
    assert!(!fake.file("pid").exists(), "something was started");
}

#[tokio::test]
async fn its_end_is_seen_with_code_and_last_words() {
    let fake = FakeEnvoy::new(
        r#": > "$run/up"; while [ ! -e "$run/go" ]; do sleep 0.01; done
        echo '[warning][main] farewell' >&2; exit 7"#,
    );
    let mut envoy = Envoy::start(fake.options.clone()).await.unwrap();
    // Giving up waiting must not lose the end.
    let early = tokio::time::timeout(Duration::from_millis(30), envoy.exited()).await;
    assert!(early.is_err());
    fs::write(fake.file("go"), "").unwrap();
    for _ in 0..2 {
        let exit = envoy.exited().await;
        assert_eq!(exit.status.unwrap().code(), Some(7));
        assert_eq!(exit.last_lines, ["farewell"]);
        assert_eq!(exit.to_string(), "exit code 7; its last lines: farewell");
    }
    // Nothing is left to stop, and nobody else may be hit.
    let exit = envoy.stop(Duration::from_secs(60)).await;
    assert_eq!(exit.status.unwrap().code(), Some(7));
}

#[tokio::test]
async fn sigterm_is_enough_for_one_that_obeys() {
    let fake = FakeEnvoy::new(LASTING);
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    let pid = envoy.pid();
    assert!(is_alive(pid));
    let began = Instant::now();
    let exit = envoy.stop(Duration::ZERO).await;
    assert_eq!(exit.to_string(), "signal 15");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(!is_alive(pid));
    assert!(
        fake.admin.requests.lock().unwrap().is_empty(),
        "a drain of zero asks for nothing"
    );
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed() {
    let fake = FakeEnvoy::new("trap '' TERM; : > \"$run/up\"; while :; do sleep 0.05; done");
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    let pid = envoy.pid();
    let exit = envoy.stop(Duration::ZERO).await;
    assert_eq!(exit.to_string(), "signal 9");
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn draining_sends_clients_away_and_waits_for_them() {
    let fake = FakeEnvoy::new(LASTING);
    *fake.admin.open.lock().unwrap() = (2, 1);
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    let pid = envoy.pid();
    let stopping = tokio::spawn(envoy.stop(Duration::from_secs(600)));
    until("both requests were made", || {
        fake.admin.requests.lock().unwrap().len() == 2
    })
    .await;
    assert_eq!(
        *fake.admin.requests.lock().unwrap(),
        ["POST /healthcheck/fail", "POST /drain_listeners"]
    );
    // Longer than idle connections are waited for: a request is under way.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert!(is_alive(pid) && !stopping.is_finished());
    *fake.admin.open.lock().unwrap() = (0, 0);
    assert_eq!(stopping.await.unwrap().to_string(), "signal 15");
}

#[tokio::test]
async fn idle_connections_hold_the_end_up_for_a_second_only() {
    let fake = FakeEnvoy::new(LASTING);
    *fake.admin.open.lock().unwrap() = (3, 0);
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    let began = Instant::now();
    envoy.stop(Duration::from_secs(600)).await;
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

#[tokio::test]
async fn the_drain_time_is_the_longest_that_requests_are_waited_for() {
    let fake = FakeEnvoy::new(LASTING);
    *fake.admin.open.lock().unwrap() = (1, 1);
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    let began = Instant::now();
    let exit = envoy.stop(Duration::from_millis(1_500)).await;
    let took = began.elapsed();
    assert_eq!(exit.to_string(), "signal 15");
    assert!(
        took >= Duration::from_millis(1_500) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

#[tokio::test]
async fn one_whose_admin_interface_is_gone_still_ends() {
    let fake = FakeEnvoy::new(LASTING);
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    fs::remove_file(fake.file("admin.sock")).unwrap();
    let exit = envoy.stop(Duration::from_millis(300)).await;
    assert_eq!(exit.to_string(), "signal 15");
}

#[tokio::test]
async fn dropping_it_kills_it() {
    let fake = FakeEnvoy::new(LASTING);
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    let pid = envoy.pid();
    drop(envoy);
    until("the process is gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn giving_up_on_a_start_kills_it() {
    let fake = FakeEnvoy::new("echo $$ > \"$run/pid\"; exec sleep 600");
    let starting = tokio::spawn(Envoy::start(fake.options.clone()));
    let read = |path: &Path| fs::read_to_string(path).ok()?.trim().parse().ok();
    let file = fake.file("pid");
    until("it runs", || read(&file).is_some()).await;
    let pid = read(&file).unwrap();
    starting.abort();
    until("the process is gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn a_flood_of_log_lines_blocks_nothing() {
    let fake = FakeEnvoy::new(
        r#"yes '[info][main] a line that goes on for a while and then some' | head -n 200000 >&2
        : > "$run/up"; exec sleep 600"#,
    );
    let envoy = Envoy::start(fake.options.clone()).await.unwrap();
    assert_eq!(envoy.last_lines().len(), 40);
    envoy.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_socket_left_by_an_earlier_one_does_not_answer_for_it() {
    let fake = FakeEnvoy::new("echo 'no luck' >&2; exit 1");
    let _left = std::os::unix::net::UnixListener::bind(fake.file("admin.sock")).unwrap();
    let error = Envoy::start(fake.options.clone()).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::ExitedAtStart { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_run_directory_that_is_absent_is_made() {
    let fake = FakeEnvoy::new("exit 1");
    let base = RunDir::create().unwrap();
    let mut options = fake.options.clone();
    options.run_dir = base.path().join("run");
    Envoy::start(options).await.unwrap_err();
    let mode = fs::metadata(base.path().join("run"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn an_admin_interface_that_is_gone_is_told_and_one_that_hangs_times_out() {
    let run = RunDir::create().unwrap();
    let socket = run.socket("admin.sock").unwrap();
    let admin = Admin::new(&socket).with_timeout(Duration::from_millis(200));
    let error = admin.get("/stats").await.unwrap_err();
    assert!(
        matches!(error, GatewayError::AdminUnreachable { .. }),
        "{error:?}"
    );
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = admin.post("/healthcheck/fail").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "envoy admin POST /healthcheck/fail: no answer within 200 ms"
    );
}
