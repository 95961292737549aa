//! A gateway as its pod has it: Envoy, its companion, and operators that are
//! reached by mutual TLS alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use sluice_envoy::Kind;
use sluice_gateway::{CompanionOptions, run_companion};
use sluice_identity::{
    Authority, BoxFuture, GatewayName, ReviewError, Reviewer, Trust, accept, serve_enrolment,
};
use sluice_trial::gateway::{Gateway, Place};
use sluice_trial::line::{Ask, Line, Mode, Target};
use sluice_trial::manifest;
use sluice_trial::server::Server;
use sluice_xds::{Admission, Fleet, Node, Publisher, Settings, serve_incoming};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::stage::{backends, envoy, eventually, get, service, simple};

const NAMESPACE: &str = "sluice-system";
const POD: &str = "gw-1";
const TOKEN: &str = "the-token-of-gw-1";
const NODE: &str = "sluice-system/gw-1";

/// Knows one pod by its token.
struct OnePod;

impl Reviewer for OnePod {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<GatewayName, ReviewError>> {
        Box::pin(async move {
            if token != TOKEN {
                let reason = "no such token".to_owned();
                return Err(ReviewError::Refused { reason });
            }
            Ok(GatewayName {
                namespace: NAMESPACE.to_owned(),
                pod: POD.to_owned(),
            })
        })
    }
}

/// The ports of operators, which are the same on each of their addresses. Bound on
/// the way to no listener, so that nobody else takes them.
struct OperatorPorts {
    xds: u16,
    enrolment: u16,
    _held: [TcpSocket; 2],
}

impl OperatorPorts {
    fn take() -> Self {
        let one = || {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseport(true).unwrap();
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            socket.bind(any).unwrap();
            let port = socket.local_addr().unwrap().port();
            (socket, port)
        };
        let ((a, xds), (b, enrolment)) = (one(), one());
        Self {
            xds,
            enrolment,
            _held: [a, b],
        }
    }

    fn listen(ip: Ipv4Addr, port: u16) -> TcpListener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind(SocketAddr::from((ip, port))).unwrap();
        socket.listen(64).unwrap()
    }
}

/// One replica of the operator.
struct Operator {
    lead: watch::Sender<bool>,
    stop: oneshot::Sender<()>,
    streams: JoinHandle<()>,
    enrolment: JoinHandle<()>,
}

impl Operator {
    fn start(
        ip: Ipv4Addr,
        ports: &OperatorPorts,
        authority: &Authority,
        publisher: &Publisher,
        leads: bool,
    ) -> Self {
        let trust = Trust::new(authority.clone(), &[], Timestamp::now()).unwrap();
        let (_, trust) = watch::channel(Arc::new(trust));
        let (lead, leader) = watch::channel(leads);
        let admission = Admission {
            proven: Some(|connection| {
                let name = connection.get::<GatewayName>()?;
                Some(format!("{}/{}", name.namespace, name.pod))
            }),
            leader: Some(leader),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let incoming = accept(OperatorPorts::listen(ip, ports.xds), trust.clone());
        let publisher = publisher.clone();
        let streams = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            let served = serve_incoming(incoming, publisher, admission, stopped).await;
            served.unwrap();
        });
        let enrolment = OperatorPorts::listen(ip, ports.enrolment);
        let enrolment = tokio::spawn(serve_enrolment(
            enrolment,
            trust,
            Arc::new(OnePod),
            std::future::pending(),
        ));
        Self {
            lead,
            stop,
            streams,
            enrolment,
        }
    }

    /// Ends as an operator does that is told to.
    async fn stop(self) {
        self.enrolment.abort();
        self.stop.send(()).unwrap();
        self.streams.await.unwrap();
    }
}

/// The way to an operator, until its node is gone: whoever connects then hears nothing,
/// not even that nobody is there.
async fn way(from: TcpListener, to: SocketAddr, gone: watch::Receiver<bool>) {
    while let Ok((mut near, _)) = from.accept().await {
        let mut gone = gone.clone();
        tokio::spawn(async move {
            if !*gone.borrow() {
                let mut far = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                    _ = gone.wait_for(|gone| *gone) => return,
                }
            }
            let _silent = near;
            std::future::pending::<()>().await;
        });
    }
}

/// A companion for the Envoy of this place.
struct Companion {
    task: JoinHandle<()>,
}

impl Companion {
    fn start(place: &Path, operators: &str, ports: &OperatorPorts, bundle: &str) -> Self {
        let given = place.join("given");
        std::fs::create_dir_all(&given).unwrap();
        std::fs::write(given.join("token"), TOKEN).unwrap();
        std::fs::write(given.join("bundle.crt"), bundle).unwrap();
        let options = CompanionOptions {
            namespace: NAMESPACE.to_owned(),
            pod: POD.to_owned(),
            operator: operators.to_owned(),
            xds_port: ports.xds,
            enrolment_port: ports.enrolment,
            token: given.join("token"),
            bundle: given.join("bundle.crt"),
            shared: place.to_owned(),
            drain: Duration::from_secs(1),
            leaving: Duration::ZERO,
        };
        let task = tokio::spawn(async move {
            Box::pin(run_companion(options, std::future::pending()))
                .await
                .unwrap();
        });
        Self { task }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn node(fleet: &Fleet) -> Option<&Node> {
    fleet.nodes.values().find(|node| node.id == NODE)
}

/// A world of its own, served nowhere but by operators.
fn world(place: &Place, name: &str, manifests: &[Value]) -> Server {
    let objects = manifest::objects(&manifest::yaml(manifests)).unwrap();
    let socket = place.folder().join(name);
    Server::start(place.edge(), &socket, Settings::default(), objects).unwrap()
}

/// Two replicas of the operator that tell the same world, and what both share.
struct Replicas {
    servers: [Server; 2],
    authority: Authority,
    ports: OperatorPorts,
}

impl Replicas {
    const IPS: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];

    fn of(place: &Place, manifests: &[Value]) -> Self {
        Self {
            servers: ["one.sock", "two.sock"].map(|name| world(place, name, manifests)),
            authority: Authority::generate(Timestamp::now()).unwrap(),
            ports: OperatorPorts::take(),
        }
    }

    fn start(&self, index: usize, leads: bool) -> Operator {
        self.start_at(Self::IPS[index], index, leads)
    }

    fn start_at(&self, ip: Ipv4Addr, index: usize, leads: bool) -> Operator {
        let publisher = self.servers[index].publisher();
        Operator::start(ip, &self.ports, &self.authority, publisher, leads)
    }

    fn companion(&self, place: &Place) -> Companion {
        let hosts = Self::IPS.map(|ip| ip.to_string()).join(",");
        let bundle = self.authority.bundle_pem();
        Companion::start(place.folder(), &hosts, &self.ports, bundle)
    }

    fn has_gateway(&self, index: usize) -> bool {
        node(&self.servers[index].fleet()).is_some()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_served_is_served_by_an_envoy_that_starts_without_an_operator() {
    let Some(envoy) = envoy() else { return };
    let [backend] = backends(["b"]).await;
    let mut manifests = service("b", &[backend.address()]);
    manifests.push(simple("kept", "kept.example.com", "b"));
    let place = Place::new().unwrap();
    let edge = place.edge().clone();
    let mut server = world(&place, "apart.sock", &manifests);
    let authority = Authority::generate(Timestamp::now()).unwrap();
    let ports = OperatorPorts::take();
    let local = Ipv4Addr::LOCALHOST;
    let companion = Companion::start(place.folder(), "127.0.0.1", &ports, authority.bundle_pem());

    // Without an operator, and without anything known: not ready, and no 404.
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    let line = Line::new(Target::plain(edge.external_http, Mode::Fresh));
    let outcome = line.send(&Ask::get("kept.example.com", "/")).await.outcome;
    assert!(outcome.is_err(), "{outcome:?}");

    let operator = Operator::start(local, &ports, &authority, server.publisher(), true);
    gateway.ready().await.unwrap();
    let status = async |host| get(edge.external_http, host, "/").await.status;
    assert_eq!(status("kept.example.com").await, 200);
    // The name is what the certificate says.
    let fleet = server.fleet();
    let told = node(&fleet).and_then(|node| node.envoy.as_deref());
    assert!(told.is_some_and(|told| told.starts_with("1.")), "{fleet:?}");
    let known = gateway.place().folder().join("last-known");
    eventually("the readiness table in a file", async || {
        let tables = "envoy.config.route.v3.RouteConfiguration.known";
        let content = std::fs::read(known.join(tables)).unwrap_or_default();
        content.windows(16).any(|part| part == b"sluice/readiness")
    })
    .await;

    operator.stop().await;
    assert_eq!(status("kept.example.com").await, 200);
    let place = gateway.stop().await;
    // The companion's container starts again as well: only the files know.
    drop(companion);
    let companion = Companion::start(place.folder(), "127.0.0.1", &ports, authority.bundle_pem());
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
    assert_eq!(status("kept.example.com").await, 200);
    assert_eq!(status("new.example.com").await, 404);

    // An operator that is back has news, and repeats nothing.
    let operator = Operator::start(local, &ports, &authority, server.publisher(), true);
    let published = server
        .apply(&[simple("new", "new.example.com", "b")])
        .await
        .unwrap();
    drop(published);
    eventually("the news at the gateway", async || {
        status("new.example.com").await == 200
    })
    .await;
    let fleet = server.fleet();
    let sent: u64 = node(&fleet)
        .unwrap()
        .kinds
        .values()
        .map(|kind| kind.sent)
        .sum();
    // Per side a scope and a table.
    assert!(sent <= 4, "{sent} resources were sent: {fleet:?}");
    operator.stop().await;
    drop(companion);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_that_leads_has_the_stream_and_passes_it_on() {
    let Some(envoy) = envoy() else { return };
    let [backend] = backends(["b"]).await;
    let mut manifests = service("b", &[backend.address()]);
    manifests.push(simple("led", "led.example.com", "b"));
    let place = Place::new().unwrap();
    let edge = place.edge().clone();
    let replicas = Replicas::of(&place, &manifests);
    let operators = [replicas.start(0, false), replicas.start(1, true)];
    let _companion = replicas.companion(&place);
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
    let at = |index: usize| replicas.has_gateway(index);
    assert_eq!((at(0), at(1)), (false, true));
    // Envoy asks for its tables once it has the scopes, answers by them a moment before it
    // says so, and is sent again what it did not say it has.
    eventually("the tables at Envoy", async || {
        node(&replicas.servers[1].fleet())
            .is_some_and(|node| node.kinds[&Kind::RouteTable].held == 3)
    })
    .await;
    replicas.servers[1].settled().await.unwrap();

    // The lease moves.
    operators[1].lead.send_replace(false);
    operators[0].lead.send_replace(true);
    eventually("the gateway at the new leader", async || at(0) && !at(1)).await;
    replicas.servers[0].settled().await.unwrap();
    let fleet = replicas.servers[0].fleet();
    let sent: u64 = node(&fleet)
        .unwrap()
        .kinds
        .values()
        .map(|kind| kind.sent)
        .sum();
    assert_eq!(sent, 0, "the same world, told by another: {fleet:?}");
    assert_eq!(
        get(edge.external_http, "led.example.com", "/").await.status,
        200
    );
}

/// Nobody is told of a lease that moves while a gateway's Envoy is away: the next stream
/// says it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_moved_while_envoy_was_away_is_followed() {
    let Some(envoy) = envoy() else { return };
    let place = Place::new().unwrap();
    let replicas = Replicas::of(&place, &[]);
    let operators = [replicas.start(0, true), replicas.start(1, false)];
    let _companion = replicas.companion(&place);
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
    let at = |index: usize| replicas.has_gateway(index);
    assert_eq!((at(0), at(1)), (true, false));

    let place = gateway.stop().await;
    eventually("the end of its stream", async || !at(0)).await;
    operators[0].lead.send_replace(false);
    operators[1].lead.send_replace(true);
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
    eventually("the gateway at the new leader", async || !at(0) && at(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_gone_without_a_word_holds_no_gateway_up() {
    let Some(envoy) = envoy() else { return };
    let [backend] = backends(["b"]).await;
    let mut manifests = service("b", &[backend.address()]);
    manifests.push(simple("held", "held.example.com", "b"));
    let place = Place::new().unwrap();
    let replicas = Replicas::of(&place, &manifests);
    let behind = Ipv4Addr::new(127, 0, 0, 3);
    let _first = replicas.start_at(behind, 0, true);
    let (go, gone) = watch::channel(false);
    let ways = [replicas.ports.xds, replicas.ports.enrolment].map(|port| {
        let from = OperatorPorts::listen(Ipv4Addr::LOCALHOST, port);
        tokio::spawn(way(from, SocketAddr::from((behind, port)), gone.clone()))
    });
    let _companion = replicas.companion(&place);
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();

    let _second = replicas.start(1, true);
    go.send_replace(true);
    eventually("the gateway at the other replica", async || {
        replicas.has_gateway(1)
    })
    .await;
    for way in ways {
        way.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_of_a_gateway_nothing_is_served() {
    let Some(envoy) = envoy() else { return };
    let place = Place::new().unwrap();
    let server = world(&place, "apart.sock", &[]);
    let authority = Authority::generate(Timestamp::now()).unwrap();
    let stranger = Authority::generate(Timestamp::now()).unwrap();
    let ports = OperatorPorts::take();
    let _operator = Operator::start(
        Ipv4Addr::LOCALHOST,
        &ports,
        &authority,
        server.publisher(),
        true,
    );
    // A pod that trusts another operator gives its token to none.
    let wrong = Companion::start(place.folder(), "127.0.0.1", &ports, stranger.bundle_pem());
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    let reached = tokio::time::timeout(Duration::from_secs(2), gateway.ready()).await;
    assert!(reached.is_err(), "{reached:?}");
    assert!(server.fleet().nodes.is_empty(), "{:?}", server.fleet());
    // A companion that ends takes its connections with it; a task of this test does
    // not, so Envoy starts anew too.
    let place = gateway.stop().await;
    drop(wrong);
    let bundle = authority.bundle_pem();
    let _right = Companion::start(place.folder(), "127.0.0.1", &ports, bundle);
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
}
