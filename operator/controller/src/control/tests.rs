use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use sluice_crds as crds;
use sluice_ir::{Certificate, Host, Outcome, PlanChange, Reason};
use tokio::sync::watch;

use super::*;
use crate::config::Options;
use crate::gateways::FleetView;
use crate::watch::{RootsPlace, Stored};

const CLASS: &str = "sluice.ingress.networking.knative.dev";

/// Keeps what was published.
#[derive(Default)]
struct Kept {
    published: Mutex<Vec<Changes>>,
    configured: Mutex<Vec<Settings>>,
    trusted: Mutex<Vec<String>>,
    certificates: Mutex<Vec<BTreeMap<Host, Certificate>>>,
}

impl Gateways for Kept {
    fn publish(&self, changes: Changes) -> u64 {
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        published.push(changes);
        published.len() as u64
    }

    fn fleet(&self) -> watch::Receiver<FleetView> {
        watch::channel(FleetView::default()).1
    }

    fn configure(&self, settings: &Settings) {
        self.configured.lock().unwrap().push(settings.clone());
    }

    fn trust(&self, roots: &str) {
        self.trusted.lock().unwrap().push(roots.to_owned());
    }

    fn certificates(&self, own: BTreeMap<Host, Certificate>) {
        self.certificates.lock().unwrap().push(own);
    }
}

pub(super) struct Bench {
    pub(super) control: Control,
    kept: Arc<Kept>,
    reports: mpsc::UnboundedReceiver<Report>,
    health: Arc<Health>,
}

impl Bench {
    fn new() -> Self {
        let kept = Arc::new(Kept::default());
        let (sender, reports) = mpsc::unbounded_channel();
        let health = Arc::new(Health::default());
        let options = Options {
            cluster_suffix: "cluster.local".into(),
            ..Options::new("sluice-system", "pod")
        };
        let world = World::new(options.translation().unwrap(), Timestamp::UNIX_EPOCH);
        let gateways = Arc::clone(&kept) as Arc<dyn Gateways>;
        Self {
            control: Control::new(
                CLASS.into(),
                "sluice-system",
                "knative-serving",
                world,
                gateways,
                sender,
                Arc::clone(&health),
            ),
            kept,
            reports,
            health,
        }
    }

    pub(super) fn open() -> Self {
        let mut bench = Self::new();
        bench.list(&Source::ALL);
        bench.settle();
        bench.reports();
        bench
    }

    fn list(&mut self, sources: &[Source]) {
        for source in sources {
            self.control.take(Input::Listed(*source));
        }
    }

    pub(super) fn settle(&mut self) {
        self.control.settle(Instant::now());
    }

    pub(super) fn take(&mut self, ingress: SeenIngress) {
        self.control.take(Input::Ingress(Box::new(ingress)));
    }

    pub(super) fn published(&self) -> Vec<Changes> {
        self.kept.published.lock().unwrap().clone()
    }

    /// What was reported, in short.
    fn reports(&mut self) -> Vec<String> {
        let mut reports = Vec::new();
        while let Ok(report) = self.reports.try_recv() {
            reports.push(match report {
                Report::Stored(key, stored) => format!("stored {key} {}", stored.generation),
                Report::Judged(key, judged) => format!(
                    "judged {key} {} at {} {:?}",
                    judged.generation, judged.revision, judged.verdict.outcome
                ),
                Report::Gone(key) => format!("gone {key}"),
                Report::Published(revision, _) => format!("published {revision}"),
                Report::Gateways(slices) => format!("gateways {}", slices.len()),
                Report::Asked(_) => "asked".to_owned(),
            });
        }
        reports
    }
}

fn ingress(name: &str, class: &str, generation: i64, host: &str) -> SeenIngress {
    let ingress: crds::Ingress = serde_json::from_value(json!({
        "metadata": {
            "namespace": "ns", "name": name, "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": { CLASS_ANNOTATION: class },
        },
        "spec": { "rules": [{ "hosts": [host], "http": { "paths": [{ "splits": [
            { "serviceNamespace": "ns", "serviceName": "app", "servicePort": 80, "percent": 100 },
        ] }] } }] },
    }))
    .unwrap();
    let stored = Stored {
        uid: "u-1".into(),
        generation,
        ..Stored::default()
    };
    SeenIngress { ingress, stored }
}

pub(super) fn ours(generation: i64) -> SeenIngress {
    ingress("web", CLASS, generation, "a.example")
}

fn service() -> Object {
    named_service("app")
}

fn slice(service: &str) -> Object {
    let slice = json!({
        "metadata": {
            "namespace": "ns", "name": format!("{service}-1"),
            "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.1.0.1"] }],
        "ports": [{ "name": "http", "port": 8080 }],
    });
    Object::EndpointSlice(serde_json::from_value(slice).unwrap())
}

fn named_service(name: &str) -> Object {
    Object::Service(
        serde_json::from_value(json!({
            "metadata": { "namespace": "ns", "name": name },
            "spec": { "ports": [{ "name": "http", "port": 80 }] },
        }))
        .unwrap(),
    )
}

fn web() -> ObjectKey {
    ObjectKey::new("ns", "web")
}

#[test]
fn nothing_is_published_before_every_resource_is_listed() {
    for last in Source::ALL {
        let mut bench = Bench::new();
        bench.take(ours(1));
        let others: Vec<Source> = Source::ALL.into_iter().filter(|s| *s != last).collect();
        bench.list(&others);
        bench.settle();
        assert_eq!(bench.published(), [], "without {last}");
        assert!(bench.health.ready().is_err());
        // Even if one that is listed already is listed again.
        bench.list(&others);
        bench.settle();
        assert_eq!(bench.published(), []);
        bench.list(&[last]);
        bench.settle();
        assert_eq!(bench.published().len(), 1, "{last} was the last");
        assert_eq!(bench.health.ready(), Ok(()));
    }
}

#[test]
fn an_empty_world_is_published_as_well() {
    let bench = Bench::open();
    assert_eq!(bench.published(), [Changes::default()]);
}

#[test]
fn a_batch_is_one_publication_and_one_verdict_per_ingress() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.control.take(Input::Object(service()));
    bench.take(ours(2));
    bench.settle();
    assert_eq!(bench.published().len(), 2);
    assert_eq!(
        bench.reports(),
        [
            "stored ns/web 1",
            "stored ns/web 2",
            "published 2",
            "judged ns/web 2 at 2 Accepted",
        ]
    );
    bench.settle();
    assert_eq!(bench.published().len(), 2, "nothing differs");
    assert_eq!(bench.reports(), [] as [&str; 0]);
}

#[test]
fn a_status_that_comes_back_touches_nothing() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    bench.reports();
    let mut echo = ours(1);
    echo.stored.resource_version = "99".into();
    bench.take(echo);
    assert!(bench.control.touched.is_empty());
    bench.settle();
    assert_eq!(bench.reports(), ["stored ns/web 1"]);
}

#[test]
fn a_new_generation_with_the_same_plan_is_judged_again() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    bench.reports();
    bench.take(ours(2));
    bench.settle();
    assert_eq!(bench.published().len(), 2, "its plan is the same");
    assert_eq!(
        bench.reports(),
        ["stored ns/web 2", "judged ns/web 2 at 2 Partial"]
    );
}

#[test]
fn only_sluice_s_class_is_served() {
    let mut bench = Bench::open();
    bench.take(ingress(
        "web",
        "kourier.ingress.networking.knative.dev",
        1,
        "a.example",
    ));
    let mut none = ours(1);
    none.ingress.metadata.annotations.clear();
    bench.take(none);
    bench.settle();
    assert_eq!(bench.published().len(), 1);
    assert_eq!(bench.reports(), [] as [&str; 0]);
}

#[test]
fn an_ingress_that_changes_its_class_is_gone_and_can_come_back() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    bench.take(ingress("web", "other", 1, "a.example"));
    bench.settle();
    let last = bench.published().pop().unwrap();
    assert_eq!(last.plans[&web()], PlanChange::Remove);
    bench.reports();
    bench.take(ingress("web", "other", 2, "a.example"));
    bench.settle();
    assert_eq!(bench.reports(), [] as [&str; 0], "no longer ours");
    bench.take(ours(2));
    bench.settle();
    let last = bench.published().pop().unwrap();
    assert!(matches!(last.plans[&web()], PlanChange::Serve(_)));
    assert_eq!(
        bench.reports(),
        [
            "stored ns/web 2",
            "published 4",
            "judged ns/web 2 at 4 Partial"
        ]
    );
}

/// Of another class, with the annotation that has it served all the same.
fn beside(generation: i64, host: &str) -> SeenIngress {
    let mut seen = ingress("web", "other", generation, host);
    let annotations = &mut seen.ingress.metadata.annotations;
    annotations.insert(BESIDE_ANNOTATION.to_owned(), "true".to_owned());
    seen
}

#[test]
fn one_of_another_class_is_served_beside_it_and_never_spoken_of() {
    let mut bench = Bench::open();
    bench.take(beside(1, "a.example"));
    bench.settle();
    let last = bench.published().pop().unwrap();
    assert!(matches!(last.plans[&web()], PlanChange::Serve(_)));
    bench.take(beside(2, "b.example"));
    bench.settle();
    assert_eq!(bench.published().len(), 3, "it follows its Ingress");
    assert_eq!(bench.reports(), ["published 2", "published 3"]);
    bench.take(ingress("web", "other", 2, "b.example"));
    bench.settle();
    let last = bench.published().pop().unwrap();
    assert_eq!(last.plans[&web()], PlanChange::Remove, "no longer beside");
}

#[test]
fn a_move_between_classes_is_no_change_to_gateways_while_it_is_served_beside() {
    let mut bench = Bench::open();
    bench.control.take(Input::Object(service()));
    bench.control.take(Input::Object(slice("app")));
    bench.take(beside(1, "a.example"));
    bench.settle();
    bench.reports();
    bench.take(ours(1));
    bench.settle();
    assert_eq!(
        bench.reports(),
        ["stored ns/web 1", "judged ns/web 1 at 2 Accepted"]
    );
    bench.take(beside(1, "a.example"));
    bench.settle();
    assert_eq!(bench.reports(), ["gone ns/web"]);
    assert_eq!(bench.published().len(), 2, "gateways were told once");
}

#[test]
fn one_that_leaves_and_comes_back_at_once_is_judged_at_a_published_revision() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    bench.reports();
    bench.control.take(Input::IngressGone(web()));
    bench.take(ours(1));
    bench.settle();
    assert_eq!(
        bench.reports(),
        [
            "gone ns/web",
            "stored ns/web 1",
            "judged ns/web 1 at 2 Partial"
        ]
    );
}

#[test]
fn a_deleted_ingress_is_removed_and_forgotten() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    bench.reports();
    bench.control.take(Input::IngressGone(web()));
    bench
        .control
        .take(Input::IngressGone(ObjectKey::new("ns", "never seen")));
    bench.settle();
    assert_eq!(bench.reports(), ["gone ns/web", "published 3"]);
}

#[test]
fn what_another_object_changes_is_judged_at_the_revision_that_holds_it() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    bench.reports();
    bench.control.take(Input::Object(service()));
    bench.settle();
    assert_eq!(
        bench.reports(),
        ["published 3", "judged ns/web 1 at 3 Accepted"]
    );
    bench.control.take(Input::ObjectGone(
        ObjectKind::Service,
        ObjectKey::new("ns", "app"),
    ));
    bench.settle();
    assert_eq!(
        bench.reports(),
        ["published 4", "judged ns/web 1 at 4 Partial"]
    );
}

#[test]
fn endpoints_are_published_and_judge_nobody() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.control.take(Input::Object(service()));
    bench.settle();
    bench.reports();
    bench.control.take(Input::Object(slice("app")));
    bench.settle();
    let last = bench.published().pop().unwrap();
    assert_eq!((last.plans.len(), last.endpoints.len()), (0, 1));
    assert_eq!(bench.reports(), ["published 3"]);
}

#[test]
fn a_spec_that_cannot_be_read_is_refused_and_holds_what_was_served() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    bench.reports();
    let mut unreadable = ours(2);
    unreadable.ingress.spec = crds::IngressSpec::default();
    bench.take(unreadable);
    bench.settle();
    let last = bench.published().pop().unwrap();
    assert!(matches!(last.plans[&web()], PlanChange::Hold(_)));
    let verdict = &last.verdicts[&web()];
    assert_eq!(verdict.outcome, Outcome::Refused);
    assert_eq!(verdict.rejections[0].reason, Reason::InvalidSpec);
    assert_eq!(
        bench.reports(),
        [
            "stored ns/web 2",
            "published 3",
            "judged ns/web 2 at 3 Refused"
        ]
    );
}

#[test]
fn settings_go_to_the_gateways_first_and_when_they_differ() {
    let mut bench = Bench::open();
    let data = |value: &str| {
        Some(BTreeMap::from([(
            "access-log".to_owned(),
            value.to_owned(),
        )]))
    };
    assert_eq!(bench.kept.configured.lock().unwrap().len(), 1);
    let count = |bench: &mut Bench, data| {
        bench
            .control
            .take(Input::ConfigMap(Source::ConfigSluice, data));
        bench.settle();
        bench.kept.configured.lock().unwrap().len()
    };
    assert_eq!(count(&mut bench, data("false")), 1, "as it was");
    assert_eq!(count(&mut bench, data("true")), 2);
    assert_eq!(
        count(&mut bench, data("perhaps")),
        2,
        "the last good one stays"
    );
    assert_eq!(count(&mut bench, None), 3, "gone: the defaults");
    assert_eq!(bench.published().len(), 1, "no plan depends on them");
}

fn roots(bench: &mut Bench, name: &str, text: Option<&str>) {
    let place = RootsPlace {
        source: Source::TrustBundles,
        key: ObjectKey::new("knative-serving", name),
    };
    let roots = text.map(|text| BTreeMap::from([("ca.crt".to_owned(), text.into())]));
    bench.control.take(Input::Roots(place, roots));
}

#[test]
fn backends_that_speak_tls_are_served_once_there_are_roots_and_ever_after() {
    let mut bench = Bench::open();
    bench.control.take(Input::Object(service()));
    bench.take(ours(1));
    bench.settle();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::default();
    let root = parameters.self_signed(&key).unwrap().pem();
    roots(&mut bench, "one", Some(&root));
    bench.settle();
    let trusted = |bench: &Bench| bench.kept.trusted.lock().unwrap().clone();
    assert!(trusted(&bench).is_empty(), "nothing speaks TLS");
    roots(&mut bench, "one", Some("no roots"));

    let tls = |bench: &mut Bench, value: &str| {
        let key = "system-internal-tls".to_owned();
        let data = Some(BTreeMap::from([(key, value.to_owned())]));
        bench
            .control
            .take(Input::ConfigMap(Source::ConfigNetwork, data));
        bench.reports();
        bench.settle();
        let reports = bench.reports();
        reports.iter().any(|report| report.ends_with("Partial"))
    };
    assert!(tls(&mut bench, "Enabled"), "no roots: nobody is trusted");
    assert!(trusted(&bench).is_empty());
    roots(&mut bench, "two", Some(&root));
    bench.settle();
    assert_eq!(trusted(&bench).len(), 1);
    assert!(
        bench
            .reports()
            .iter()
            .any(|report| report.ends_with("Accepted"))
    );
    // Again, elsewhere, gone: what was known stays, and nobody is told anew.
    let published = bench.published().len();
    roots(&mut bench, "three", Some(&root));
    roots(&mut bench, "two", None);
    bench.settle();
    roots(&mut bench, "three", None);
    bench.settle();
    assert_eq!(
        (trusted(&bench).len(), bench.published().len()),
        (1, published)
    );
    assert!(!tls(&mut bench, "Disabled"));
    assert_eq!(bench.published().len(), published + 1);
}

#[test]
fn the_certificate_of_the_gateways_own_follows_its_secret_and_its_name() {
    let mut bench = Bench::open();
    let secret = |name: &str, dns: &[&str]| {
        let names: Vec<String> = dns.iter().map(|dns| (*dns).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let object = json!({
            "metadata": { "namespace": "sluice-system", "name": name },
            "stringData": {
                "tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem(),
            },
        });
        Input::Object(Object::Secret(serde_json::from_value(object).unwrap()))
    };
    let choose = |bench: &mut Bench, name: &str| {
        let key = "internal-certificate".to_owned();
        let data = Some(BTreeMap::from([(key, name.to_owned())]));
        bench
            .control
            .take(Input::ConfigMap(Source::ConfigSluice, data));
        bench.settle();
    };
    let shown = |bench: &Bench| -> Vec<String> {
        let told = bench.kept.certificates.lock().unwrap();
        let last = told.last().into_iter().flat_map(BTreeMap::keys);
        last.map(ToString::to_string).collect()
    };
    choose(&mut bench, "own");
    assert_eq!(
        bench.kept.certificates.lock().unwrap().len(),
        0,
        "no Secret yet"
    );
    bench.control.take(secret("other", &["c.example"]));
    bench
        .control
        .take(secret("own", &["b.example", "*.example", "a.example"]));
    bench.settle();
    assert_eq!(shown(&bench), ["a.example", "b.example"]);
    let told = bench.kept.certificates.lock().unwrap().len();
    bench.settle();
    let key = ObjectKey::new("sluice-system", "own");
    bench
        .control
        .take(Input::ObjectGone(ObjectKind::Secret, key));
    bench.settle();
    assert_eq!(
        bench.kept.certificates.lock().unwrap().len(),
        told,
        "the last one stays"
    );
    choose(&mut bench, "other");
    assert_eq!(shown(&bench), ["c.example"]);
    choose(&mut bench, "no such/name");
    assert_eq!(shown(&bench), ["c.example"]);
    choose(&mut bench, "");
    assert!(shown(&bench).is_empty());
}

#[test]
fn gateways_are_reported_when_they_differ() {
    let mut bench = Bench::open();
    let key = ObjectKey::new("sluice-system", "s-1");
    let slice = |ready| {
        vec![GatewayEndpoint {
            node: "sluice-system/a".into(),
            ip: [10, 0, 0, 1].into(),
            ready,
            terminating: false,
        }]
    };
    let told = |bench: &mut Bench, slice: Option<Vec<GatewayEndpoint>>| {
        bench.control.take(Input::GatewaySlice(key.clone(), slice));
        bench.settle();
        bench.reports()
    };
    assert_eq!(told(&mut bench, Some(slice(true))), ["gateways 1"]);
    assert_eq!(told(&mut bench, Some(slice(true))), [] as [&str; 0]);
    assert_eq!(told(&mut bench, Some(slice(false))), ["gateways 1"]);
    assert_eq!(told(&mut bench, None), ["gateways 0"]);
    assert_eq!(told(&mut bench, None), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_gathered_into_few_publications() {
    let mut bench = Bench::new();
    bench.list(&Source::ALL);
    bench.settle();
    let Bench {
        control,
        kept,
        health,
        ..
    } = bench;
    let (sender, inputs) = mpsc::channel(INPUTS);
    let running = tokio::spawn(control.run(inputs, mpsc::channel(1).1));
    for index in 0..200 {
        let host = format!("h{index}.example");
        let seen = ingress(&format!("web-{index}"), CLASS, 1, &host);
        sender
            .send(Queued::now(Input::Ingress(Box::new(seen))))
            .await
            .unwrap();
    }
    drop(sender);
    running.await.unwrap();
    let published = kept.published.lock().unwrap();
    let plans: usize = published.iter().map(|changes| changes.plans.len()).sum();
    assert_eq!(plans, 200);
    assert!(published.len() <= 4, "{} publications", published.len());
    assert_eq!(health.snapshot().queued_events, 0);
}

#[tokio::test(start_paused = true)]
async fn the_loop_beats_without_events() {
    let bench = Bench::new();
    let health = Arc::clone(&bench.health);
    let (_sender, inputs) = mpsc::channel(INPUTS);
    let running = tokio::spawn(bench.control.run(inputs, mpsc::channel(1).1));
    tokio::task::yield_now().await;
    let before = health.last_beat();
    tokio::time::sleep(BEAT * 2).await;
    assert!(health.last_beat() > before);
    running.abort();
}

/// One that is served, and a generation that leads to another Service.
fn moving() -> (Bench, SeenIngress) {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.control.take(Input::Object(service()));
    bench.control.take(Input::Object(slice("app")));
    bench.settle();
    bench.reports();
    let mut next = ours(2);
    let rule = next.ingress.spec.rules[0].http.as_mut().unwrap();
    rule.paths[0].splits[0].service_name = "next".into();
    (bench, next)
}

#[tokio::test(start_paused = true)]
async fn a_generation_waits_for_its_backends() {
    let (mut bench, next) = moving();
    let before = bench.published().len();
    bench.take(next);
    bench.settle();
    bench.control.take(Input::Object(named_service("next")));
    // What differs for the generation before is served, and judged for nobody.
    bench.control.take(Input::Object(service()));
    bench.settle();
    assert_eq!(bench.reports(), ["stored ns/web 2"]);
    assert_eq!(bench.published().len(), before);
    bench.control.take(Input::Object(slice("next")));
    bench.settle();
    let last = bench.published().pop().unwrap();
    assert_eq!((last.plans.len(), last.endpoints.len()), (1, 1));
    assert_eq!(
        bench.reports(),
        ["published 3", "judged ns/web 2 at 3 Accepted"]
    );
    assert_eq!(bench.control.holds.first_end(), None);
}

#[tokio::test(start_paused = true)]
async fn it_waits_no_longer_than_a_moment_even_if_it_is_changed_again_and_again() {
    let (mut bench, next) = moving();
    bench.take(next.clone());
    bench.settle();
    tokio::time::advance(hold::LONGEST / 2).await;
    let mut newer = next;
    newer.ingress.metadata.generation = 3;
    newer.stored.generation = 3;
    bench.take(newer);
    bench.settle();
    assert_eq!(bench.reports(), ["stored ns/web 2", "stored ns/web 3"]);
    tokio::time::advance(hold::LONGEST / 2).await;
    bench.settle();
    // Nobody made the Service: that is said now.
    assert_eq!(
        bench.reports(),
        ["published 3", "judged ns/web 3 at 3 Partial"]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_waits_for_nothing() {
    let (mut bench, next) = moving();
    bench.take(next);
    bench.settle();
    bench.control.take(Input::IngressGone(web()));
    bench.settle();
    bench.reports();
    assert_eq!(bench.control.holds.first_end(), None);
    bench.control.take(Input::Object(named_service("next")));
    bench.control.take(Input::Object(slice("next")));
    bench.settle();
    assert!(bench.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_never_served_waits_for_nothing() {
    let mut bench = Bench::open();
    bench.take(ours(1));
    bench.settle();
    let reports = bench.reports();
    assert_eq!(reports.last().unwrap(), "judged ns/web 1 at 2 Partial");
}
