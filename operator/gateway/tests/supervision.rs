//! Restarts, with an Envoy played by a shell script.

// Clippy counts functions marked as tests only, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sluice_gateway::{Backoff, Event, GatewayError, Supervised};
use support::{FakeEnvoy, is_alive, until};
use tokio::sync::mpsc::UnboundedReceiver;

const QUICK: Backoff = Backoff {
    first: Duration::from_millis(40),
    most: Duration::from_millis(160),
    calm: Duration::from_secs(600),
};

async fn next(events: &mut UnboundedReceiver<Event>) -> Event {
    tokio::time::timeout(Duration::from_secs(20), events.recv())
        .await
        .expect("an event within 20 s")
        .expect("the supervision goes on")
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

async fn started(events: &mut UnboundedReceiver<Event>) -> u32 {
    match next(events).await {
        Event::Started { pid } => pid,
        other => panic!("expected a start: {other:?}"),
    }
}

#[tokio::test]
async fn one_that_is_killed_is_started_again_and_stop_ends_it() {
    let fake = FakeEnvoy::new(": > \"$run/up\"; exec sleep 600");
    let (supervised, mut events) = Supervised::start(fake.options.clone(), QUICK)
        .await
        .unwrap();
    let first = started(&mut events).await;
    kill(first);
    let Event::Exited { pid, exit } = next(&mut events).await else {
        panic!("expected the end");
    };
    assert_eq!((pid, exit.status_text().as_str()), (first, "signal 9"));
    let Event::Restarting { after, failures } = next(&mut events).await else {
        panic!("expected a wait");
    };
    assert_eq!(failures, 1);
    assert!(
        after >= QUICK.first / 2 && after <= QUICK.first,
        "{after:?}"
    );
    let second = started(&mut events).await;
    assert!(second != first && is_alive(second));
    assert_eq!(supervised.admin().server_info().await.unwrap().node_id, "");

    supervised.stop(Duration::ZERO).await;
    assert!(!is_alive(second));
    let Event::Stopped { exit: Some(exit) } = next(&mut events).await else {
        panic!("expected the last event");
    };
    assert_eq!(exit.status_text(), "signal 15");
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn what_is_wrong_from_the_beginning_is_an_error() {
    let fake = FakeEnvoy::new("exit 1");
    let error = Supervised::start(fake.options.clone(), QUICK)
        .await
        .unwrap_err();
    assert!(
        matches!(error, GatewayError::ExitedAtStart { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_crash_loop_slows_down_goes_on_and_heals() {
    // Runs once, fails five times, then runs.
    let fake = FakeEnvoy::new(
        r#"echo x >> "$run/count"; n=$(wc -l < "$run/count")
        if [ "$n" -gt 1 ] && [ "$n" -le 6 ]; then echo "[error][main] attempt $n" >&2; exit 4; fi
        : > "$run/up"; exec sleep 600"#,
    );
    let (supervised, mut events) = Supervised::start(fake.options.clone(), QUICK)
        .await
        .unwrap();
    kill(started(&mut events).await);
    assert!(matches!(next(&mut events).await, Event::Exited { .. }));
    for attempt in 1..=6_u32 {
        let event = next(&mut events).await;
        let Event::Restarting { after, failures } = event else {
            panic!("expected a wait: {event:?}");
        };
        assert_eq!(failures, attempt);
        let longest = (QUICK.first * 2_u32.pow(attempt - 1)).min(QUICK.most);
        assert!(
            after >= longest / 2 && after <= longest,
            "{after:?} after {attempt}"
        );
        if attempt < 6 {
            let event = next(&mut events).await;
            let Event::StartFailed { error } = event else {
                panic!("expected a failed start: {event:?}");
            };
            let words = format!("exit code 4; its last lines: attempt {}", attempt + 1);
            assert!(error.to_string().ends_with(&words), "{error}");
        } else {
            assert!(
                event
                    .to_string()
                    .starts_with("envoy failed 6 times in a row; it is started again in"),
                "{event}"
            );
        }
    }
    assert!(is_alive(started(&mut events).await));
    supervised.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_calm_run_forgives_earlier_failures() {
    let fake = FakeEnvoy::new(": > \"$run/up\"; exec sleep 600");
    let backoff = Backoff {
        calm: Duration::ZERO,
        ..QUICK
    };
    let (supervised, mut events) = Supervised::start(fake.options.clone(), backoff)
        .await
        .unwrap();
    for _ in 0..3 {
        kill(started(&mut events).await);
        assert!(matches!(next(&mut events).await, Event::Exited { .. }));
        assert!(matches!(
            next(&mut events).await,
            Event::Restarting { failures: 1, .. }
        ));
    }
    let last = started(&mut events).await;
    // Nobody has to listen, and dropping is enough to end it.
    drop(events);
    drop(supervised);
    until("the process is gone", || !is_alive(last)).await;
}

#[tokio::test]
async fn stop_does_not_wait_for_the_next_attempt() {
    let fake = FakeEnvoy::new(": > \"$run/up\"; exec sleep 600");
    let slow = Backoff {
        first: Duration::from_secs(600),
        most: Duration::from_secs(600),
        calm: Duration::from_secs(600),
    };
    let (supervised, mut events) = Supervised::start(fake.options.clone(), slow).await.unwrap();
    kill(started(&mut events).await);
    assert!(matches!(next(&mut events).await, Event::Exited { .. }));
    assert!(matches!(next(&mut events).await, Event::Restarting { .. }));
    let began = Instant::now();
    supervised.stop(Duration::from_secs(60)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(
        next(&mut events).await,
        Event::Stopped { exit: None }
    ));
}

#[tokio::test]
async fn a_listener_that_xds_brings_in_vain_is_an_event() {
    let fake = FakeEnvoy::new(
        r#": > "$run/up"; while [ ! -e "$run/go" ]; do sleep 0.01; done
        cat >&2 <<'END'
[error][config] listener \'internal-http\' failed to bind or apply socket options: cannot bind \'0.0.0.0:81\': Permission denied
END
        exec sleep 600"#,
    );
    let (supervised, mut events) = Supervised::start(fake.options.clone(), QUICK)
        .await
        .unwrap();
    started(&mut events).await;
    fs::write(fake.file("go"), "").unwrap();
    let event = next(&mut events).await;
    assert_eq!(
        event.to_string(),
        "listener internal-http: envoy cannot listen on 0.0.0.0:81 (permission denied); ports below 1024 need a privilege: choose a port from 1024 on"
    );
    supervised.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn dropping_the_stop_kills_at_once() {
    let fake = FakeEnvoy::new(": > \"$run/up\"; exec sleep 600");
    *fake.admin.open.lock().unwrap() = (1, 1);
    let (supervised, mut events) = Supervised::start(fake.options.clone(), QUICK)
        .await
        .unwrap();
    let pid = started(&mut events).await;
    let stopping = tokio::spawn(supervised.stop(Duration::from_secs(600)));
    until("it drains", || {
        fake.admin.requests.lock().unwrap().len() == 2
    })
    .await;
    assert!(is_alive(pid));
    stopping.abort();
    until("the process is gone", || !is_alive(pid)).await;
}
