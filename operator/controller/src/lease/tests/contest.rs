//! Replicas against an API server in memory, on a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::fake_api::{Asked, FakeApi, Way, failure_body};
use crate::lease::{LEASE_NAME, Lease, LeaseError};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/sluice-operator";

struct Replica {
    leads: watch::Receiver<bool>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), LeaseError>>,
}

impl Replica {
    fn start(api: &Arc<FakeApi>, name: &str) -> Self {
        Self::start_by(api.client(), name)
    }

    fn start_by(client: kube::Client, name: &str) -> Self {
        let (sender, leads) = watch::channel(false);
        let (stop, stopped) = oneshot::channel::<()>();
        let lease = Lease::new(client, "sluice-system", LEASE_NAME, name);
        let task = tokio::spawn(lease.hold(sender, async {
            let _ = stopped.await;
        }));
        Self {
            leads,
            stop: Some(stop),
            task,
        }
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    async fn until(&mut self, leads: bool) -> Duration {
        let start = Instant::now();
        let found = timeout(
            Duration::from_secs(60),
            self.leads.wait_for(|said| *said == leads),
        );
        assert!(found.await.is_ok(), "leads never became {leads}");
        start.elapsed()
    }

    async fn shut_down(mut self) {
        self.stop.take();
        (&mut self.task).await.unwrap().unwrap();
        assert!(!self.leads());
    }
}

fn spec(api: &FakeApi) -> Value {
    api.object(PATH).unwrap()["spec"].clone()
}

#[tokio::test(start_paused = true)]
async fn one_replica_takes_a_lease_that_is_not_there_and_renews_it() {
    let api = FakeApi::new();
    let mut only = Replica::start(&api, "a");
    only.until(true).await;
    let first = spec(&api);
    assert_eq!(first["holderIdentity"], "a");
    assert_eq!(first["leaseDurationSeconds"], 15);
    assert_eq!(first["leaseTransitions"], 0);
    let before = api.asked().len();
    sleep(Duration::from_secs(20)).await;
    assert!(only.leads());
    assert_ne!(spec(&api)["renewTime"], first["renewTime"]);
    assert_eq!(spec(&api)["acquireTime"], first["acquireTime"]);
    // A renewal is one write each two seconds, without a look.
    let asked = api.asked().split_off(before);
    assert!(asked.iter().all(Asked::writes));
    assert!((9..=10).contains(&asked.len()), "{} requests", asked.len());
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_within_fifteen_seconds() {
    // Whatever the moment of the death between two renewals.
    for tenth in 0..20 {
        let api = FakeApi::new();
        let mut first = Replica::start(&api, "a");
        first.until(true).await;
        sleep(Duration::from_millis(700)).await;
        let mut second = Replica::start(&api, "b");
        sleep(Duration::from_millis(20_000 + tenth * 100)).await;
        assert!(first.leads() && !second.leads());
        first.task.abort();
        let took = second.until(true).await;
        assert!(!first.leads(), "a dead leader leaves no true behind");
        assert!(took <= Duration::from_secs(15), "took {took:?}");
        assert!(took >= Duration::from_secs(10), "took {took:?}");
        assert_eq!(spec(&api)["leaseTransitions"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_the_next_look() {
    let api = FakeApi::new();
    let mut first = Replica::start(&api, "a");
    first.until(true).await;
    let mut second = Replica::start(&api, "b");
    sleep(Duration::from_secs(7)).await;
    first.shut_down().await;
    assert_eq!(spec(&api)["holderIdentity"], "");
    let took = second.until(true).await;
    assert!(took <= Duration::from_secs(2), "took {took:?}");
    assert_eq!(spec(&api)["holderIdentity"], "b");
    assert_eq!(spec(&api)["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_shuts_down_leaves_the_lease_alone() {
    let api = FakeApi::new();
    let mut first = Replica::start(&api, "a");
    first.until(true).await;
    let second = Replica::start(&api, "b");
    sleep(Duration::from_secs(3)).await;
    second.shut_down().await;
    assert_eq!(spec(&api)["holderIdentity"], "a");
    assert!(first.leads());
}

/// A client whose way to the server the test closes and opens.
fn cut_by(api: &Arc<FakeApi>, way: fn() -> Way) -> (kube::Client, Arc<AtomicBool>) {
    let closed = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&closed);
    let client = api.client_by(move |_| match switch.load(Ordering::SeqCst) {
        true => way(),
        false => Way::Open,
    });
    (client, closed)
}

type Fault = (&'static str, fn() -> Way);

#[tokio::test(start_paused = true)]
async fn two_contenders_never_both_lead_whatever_fails() {
    let ways: [Fault; 3] = [
        ("requests are lost", || Way::Cut),
        ("answers are lost", || Way::Deaf),
        ("requests are refused", || {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Way::Answer(status, failure_body(status, "InternalError"))
        }),
    ];
    for (fault, way) in ways {
        let api = FakeApi::new();
        let (first_client, first_cut) = cut_by(&api, way);
        let (second_client, second_cut) = cut_by(&api, way);
        let first = Replica::start_by(first_client, "a");
        let second = Replica::start_by(second_client, "b");
        let mut led = [0, 0];
        // Four simulated minutes, each replica cut off in turn at odd moments.
        for tick in 0..4800_u32 {
            first_cut.store((tick / 610) % 2 == 1, Ordering::SeqCst);
            second_cut.store((tick / 430) % 3 == 2, Ordering::SeqCst);
            sleep(Duration::from_millis(50)).await;
            let both = [first.leads(), second.leads()];
            assert!(both != [true, true], "{fault}: both lead at tick {tick}");
            led[0] += u32::from(both[0]);
            led[1] += u32::from(both[1]);
        }
        assert!(led[0] > 100 && led[1] > 100, "{fault}: {led:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_at_the_same_moment_has_one_winner() {
    let api = FakeApi::new();
    let all: Vec<Replica> = ["a", "b", "c"].map(|n| Replica::start(&api, n)).into();
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        assert!(all.iter().filter(|replica| replica.leads()).count() <= 1);
    }
    assert_eq!(all.iter().filter(|replica| replica.leads()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_gives_up_after_ten_seconds_and_comes_back() {
    let api = FakeApi::new();
    let (client, cut) = cut_by(&api, || Way::Cut);
    let mut only = Replica::start_by(client, "a");
    only.until(true).await;
    cut.store(true, Ordering::SeqCst);
    let kept = only.until(false).await;
    assert!(kept <= Duration::from_secs(10), "kept {kept:?}");
    assert!(kept >= Duration::from_secs(8), "kept {kept:?}");
    cut.store(false, Ordering::SeqCst);
    let back = only.until(true).await;
    assert!(back <= Duration::from_secs(5), "back after {back:?}");
    assert_eq!(spec(&api)["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_replaced_notices_at_its_next_renewal() {
    let api = FakeApi::new();
    let mut only = Replica::start(&api, "a");
    only.until(true).await;
    let mut stolen = api.object(PATH).unwrap();
    stolen["spec"]["holderIdentity"] = json!("by hand");
    api.put(PATH, stolen);
    let noticed = only.until(false).await;
    assert!(noticed <= Duration::from_millis(2200), "{noticed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_touched_or_deleted_by_hand_stays_with_its_leader() {
    let api = FakeApi::new();
    let mut only = Replica::start(&api, "a");
    only.until(true).await;
    let mut touched = api.object(PATH).unwrap();
    touched["metadata"]["annotations"] = json!({ "note": "kept" });
    api.put(PATH, touched);
    sleep(Duration::from_secs(5)).await;
    let found = api.object(PATH).unwrap();
    assert_eq!(found["metadata"]["annotations"]["note"], "kept");
    api.delete(PATH);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(spec(&api)["holderIdentity"], "a");
    assert!(!only.leads.has_changed().unwrap(), "never wavered");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_does_not_hold_up_shutdown() {
    let api = FakeApi::new();
    let (client, cut) = cut_by(&api, || Way::Cut);
    let mut only = Replica::start_by(client, "a");
    only.until(true).await;
    cut.store(true, Ordering::SeqCst);
    let start = Instant::now();
    only.shut_down().await;
    assert!(start.elapsed() <= Duration::from_secs(6));
}

#[tokio::test]
async fn an_empty_identity_is_refused() {
    let api = FakeApi::new();
    let (sender, leads) = watch::channel(true);
    let lease = Lease::new(api.client(), "sluice-system", LEASE_NAME, "");
    let error = lease
        .hold(sender, std::future::pending())
        .await
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("Lease sluice-system/sluice-operator: the identity"),
        "{message}"
    );
    assert!(!*leads.borrow());
    assert!(api.asked().is_empty());
}
