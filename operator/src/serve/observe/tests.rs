use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};

use http_body_util::BodyExt;
use sluice_controller::{FleetView, Gateways, IngressState, Source};
use sluice_envoy::Kind;
use sluice_translate::Changes;
use sluice_xds::{Fleet, Node, StreamId, Traffic};
use tokio::sync::watch;

use super::*;
use crate::serve::fake_cluster::{FakeCluster, control, until};

/// As long as a beat may take, and half of one more.
const SHORT_BOUND: Duration = Duration::from_millis(1500);

async fn ask(method: Method, path: &str, health: &Health) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(())
        .unwrap();
    let response = answer(&request, health, &Publisher::default(), SHORT_BOUND);
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Gateways that hold up who publishes while the gate is shut.
#[derive(Default)]
struct Gated {
    shut: Mutex<bool>,
    opened: Condvar,
    view: watch::Sender<FleetView>,
}

impl Gated {
    fn set(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
    }
}

impl Gateways for Gated {
    fn publish(&self, _: Changes) -> u64 {
        let shut = self.shut.lock().unwrap();
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
        1
    }

    fn fleet(&self) -> watch::Receiver<FleetView> {
        self.view.subscribe()
    }
}

#[tokio::test]
async fn a_fresh_operator_lives_and_says_what_it_waits_for() {
    let health = Health::default();
    let (status, _) = ask(Method::GET, "/healthz", &health).await;
    assert_eq!(status, StatusCode::OK);
    let (status, why) = ask(Method::GET, "/readyz", &health).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("not listed yet"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_hangs_is_not_alive_and_one_that_goes_on_is() {
    let health = Arc::new(Health::default());
    let gateways = Arc::new(Gated::default());
    gateways.set(true);
    let cluster = FakeCluster::of(BTreeMap::new());
    let (_tasks, _) = control(
        &cluster,
        Arc::clone(&gateways) as Arc<dyn Gateways>,
        &health,
    );
    let alive = async || ask(Method::GET, "/healthz", &health).await;
    until("the loop hangs", async || {
        alive().await.0 == StatusCode::INTERNAL_SERVER_ERROR
    })
    .await;
    assert!(alive().await.1.contains("has not come round for 1 s"));
    assert!(health.ready().is_err(), "nothing was published");
    gateways.set(false);
    until("it goes on", async || alive().await.0 == StatusCode::OK).await;
    until("it is ready", async || health.ready().is_ok()).await;
}

#[tokio::test]
async fn an_operator_is_ready_once_the_last_list_came_and_not_before() {
    for plural in ["ingresses", "secrets", "configmaps", "endpointslices"] {
        let health = Arc::new(Health::default());
        let cluster = FakeCluster::of(BTreeMap::new());
        cluster.withhold(Some(plural));
        let (_tasks, _) = control(&cluster, Arc::new(Gated::default()), &health);
        let missing = async || ask(Method::GET, "/readyz", &health).await.1;
        let is_withheld = |source: &&Source| source.resource().split('.').next() == Some(plural);
        let waiting = Source::ALL.iter().filter(is_withheld).count();
        until("all others are listed", async || {
            missing().await.lines().count() <= 1 + waiting
        })
        .await;
        let (status, why) = ask(Method::GET, "/readyz", &health).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(why.matches("not listed yet").count(), waiting, "{why}");
        let (alive, _) = ask(Method::GET, "/healthz", &health).await;
        assert_eq!(alive, StatusCode::OK, "who waits is not dead");
        cluster.withhold(None);
        until("ready", async || missing().await == "ok\n").await;
    }
}

#[tokio::test]
async fn only_get_of_three_paths_is_answered() {
    let health = Health::default();
    let (status, _) = ask(Method::POST, "/healthz", &health).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = ask(Method::GET, "/", &health).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn metrics_end_as_the_format_wants() {
    let (status, body) = ask(Method::GET, "/metrics", &Health::default()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.ends_with("# EOF\n"), "{body}");
    assert!(body.contains("\nsluice_leading 0\n"), "{body}");
}

#[test]
fn what_was_counted_is_written() {
    let mut moment = metrics::Moment {
        snapshot: Health::default().snapshot(),
        fleet: Fleet::default(),
        resources: [(Kind::Cluster, 12)].into(),
    };
    let snapshot = &mut moment.snapshot;
    snapshot.rejections.insert(sluice_ir::Reason::PercentSum, 2);
    snapshot.propagation.buckets = [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    snapshot.propagation.longer = 1;
    snapshot.propagation.sum = 31.5;
    snapshot.queued_events = 4;
    snapshot.status_conflicts = 1;
    snapshot.probe_failures = 2;
    snapshot.busy = Duration::from_millis(1500);
    let traffic = Traffic {
        acks: 5,
        nacks: 1,
        held: 3,
        ..Traffic::default()
    };
    let node = Node {
        id: "ns/a\"b".into(),
        kinds: [(Kind::Cluster, traffic)].into(),
        ..Node::default()
    };
    moment.fleet.nodes.insert(StreamId(1), node);
    let page = metrics::written(moment).unwrap();
    for line in [
        "sluice_rejections{reason=\"PercentSum\"} 2",
        "# TYPE sluice_propagation_seconds histogram",
        "sluice_propagation_seconds_bucket{le=\"0.025\"} 3",
        "sluice_propagation_seconds_bucket{le=\"30.0\"} 3",
        "sluice_propagation_seconds_bucket{le=\"+Inf\"} 4",
        "sluice_propagation_seconds_sum 31.5",
        "sluice_readiness_seconds_count 0",
        "sluice_xds_resources{type=\"CDS\"} 12",
        "sluice_xds_held{gateway=\"ns/a\\\"b\",type=\"CDS\"} 3",
        "sluice_xds_acks_total{gateway=\"ns/a\\\"b\",type=\"CDS\"} 5",
        "sluice_xds_nacks_total{gateway=\"ns/a\\\"b\",type=\"CDS\"} 1",
        "kn_workqueue_depth{name=\"events\"} 4",
        "kn_workqueue_retries_total{name=\"statuses\"} 3",
        "kn_workqueue_queue_duration_seconds_count{name=\"events\"} 0",
        "kn_workqueue_process_duration_seconds_bucket{le=\"+Inf\",name=\"events\"} 0",
        "kn_workqueue_unfinished_work_seconds{name=\"events\"} 1.5",
        "kn_workqueue_longest_running_processor_seconds{name=\"events\"} 1.5",
        "kn_workqueue_adds_total{name=\"statuses\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

/// What `config/monitoring` may ask for; `hack/lint-monitoring` reads the page too.
/// `SLUICE_UPDATE_GOLDEN=1` writes it.
#[test]
fn golden_page_has_every_metric() {
    let mut moment = metrics::Moment {
        snapshot: Health::default().snapshot(),
        fleet: Fleet::default(),
        resources: Kind::ALL.map(|kind| (kind, 0)).into(),
    };
    let states = [
        IngressState::Ready,
        IngressState::Waiting,
        IngressState::NoGateway,
        IngressState::Partial,
        IngressState::Refused,
        IngressState::GatewayRefused,
    ];
    let snapshot = &mut moment.snapshot;
    snapshot.ingresses = states.map(|state| (state, 0)).into();
    snapshot.rejections = [(sluice_ir::Reason::DomainConflict, 0)].into();
    snapshot.watch_events = Source::ALL.map(|source| (source, 0)).into();
    snapshot.watch_failures = Source::ALL.map(|source| (source, 0)).into();
    let node = Node {
        id: "sluice-system/sluice-gateway-0".into(),
        kinds: Kind::ALL.map(|kind| (kind, Traffic::default())).into(),
        ..Node::default()
    };
    moment.fleet.nodes.insert(StreamId(1), node);
    let page = metrics::written(moment).unwrap();
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../config/monitoring/metrics/operator.txt"
    );
    if std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    assert_eq!(page, std::fs::read_to_string(file).unwrap(), "{file}");
}
