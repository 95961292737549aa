//! What every wire test begins with: a gateway, and objects to give it.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_envoy::Edge;
use sluice_translate::ObjectKind;
use sluice_trial::backend::{Backend, Echo};
use sluice_trial::gateway::{Gateway, Place, locate};
use sluice_trial::line::{Ask, Line, Mode, Reply, Target};
use sluice_trial::server::{Published, Server};
use sluice_xds::Settings;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// The namespace of everything that is not said to be elsewhere.
pub const NAMESPACE: &str = "trial";

/// A gateway and the xDS server that feeds it.
pub struct Stage {
    pub gateway: Gateway,
    pub server: Server,
}

impl Stage {
    pub async fn apply(&mut self, manifests: &[Value]) -> Published {
        self.server.apply(manifests).await.unwrap()
    }

    pub async fn delete(&mut self, kind: ObjectKind, name: &str) -> Published {
        self.server.delete(kind, NAMESPACE, name).await.unwrap()
    }

    pub fn edge(&self) -> &Edge {
        self.gateway.edge()
    }

    /// The same world with a gateway that holds nothing of it yet.
    pub async fn anew(self) -> Self {
        let place = self.gateway.stop().await;
        let gateway = Gateway::start(&envoy().unwrap(), place).await.unwrap();
        gateway.ready().await.unwrap();
        self.server.settled().await.unwrap();
        Self {
            gateway,
            server: self.server,
        }
    }
}

/// The real Envoy on loopback with an xDS server in this process; `None` where
/// this machine has no Envoy and nobody insists (`SLUICE_REQUIRE_ENVOY=1`).
pub async fn stage() -> Option<Stage> {
    stage_with(Settings::default()).await
}

/// The same with other settings of the xDS server.
pub async fn stage_with(settings: Settings) -> Option<Stage> {
    stage_at(settings, |_| ()).await
}

/// The same with another edge.
pub async fn stage_at(settings: Settings, change: impl FnOnce(&mut Edge)) -> Option<Stage> {
    let envoy = envoy()?;
    let mut place = Place::new().unwrap();
    change(place.edge_mut());
    let socket = place.xds_socket();
    let server = Server::start(place.edge(), &socket, settings, Vec::new()).unwrap();
    let gateway = Gateway::start(&envoy, place).await.unwrap();
    gateway.ready().await.unwrap();
    Some(Stage { gateway, server })
}

/// Held by tests that load or time the machine, so that they do so in turn.
pub async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// The Envoy to run; says so in one line if there is none.
pub fn envoy() -> Option<std::path::PathBuf> {
    let found = locate();
    if found.is_none() {
        let required = std::env::var_os("SLUICE_REQUIRE_ENVOY").is_some_and(|v| v == "1");
        assert!(
            !required,
            "no Envoy in $ENVOY or PATH, but SLUICE_REQUIRE_ENVOY=1"
        );
        println!("left out: no Envoy in $ENVOY or PATH");
    }
    found
}

/// A Service with port 80 and these endpoints, spoken to in HTTP/1.1.
pub fn service(name: &str, endpoints: &[SocketAddr]) -> Vec<Value> {
    service_with(name, &json!({"name": "http", "port": 80}), endpoints)
}

/// The same, spoken to in HTTP/2.
pub fn service_h2c(name: &str, endpoints: &[SocketAddr]) -> Vec<Value> {
    let port = json!({"name": "http2", "port": 80, "appProtocol": "kubernetes.io/h2c"});
    service_with(name, &port, endpoints)
}

fn service_with(name: &str, port: &Value, endpoints: &[SocketAddr]) -> Vec<Value> {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "labels": {"networking.internal.knative.dev/serviceType": "Public"},
        },
        "spec": {"ports": [port]},
    });
    let port_name = port["name"].as_str().unwrap();
    vec![service, endpoints_of(name, port_name, endpoints)]
}

/// An ExternalName Service with port 80.
pub fn external_name(name: &str, target: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {
            "type": "ExternalName",
            "externalName": target,
            "ports": [{"name": "http2", "port": 80, "appProtocol": "kubernetes.io/h2c"}],
        },
    })
}

/// The endpoints of a Service, as the core Endpoints that Serving writes for a
/// public Service; here each address may have a port of its own.
pub fn endpoints_of(service: &str, port_name: &str, endpoints: &[SocketAddr]) -> Value {
    let subset = |address: &SocketAddr| {
        json!({
            "addresses": [{"ip": address.ip().to_string()}],
            "ports": [{"name": port_name, "port": address.port()}],
        })
    };
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"namespace": NAMESPACE, "name": service},
        "subsets": endpoints.iter().map(subset).collect::<Vec<_>>(),
    })
}

/// An Ingress with this spec.
pub fn ingress(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": spec,
    })
}

/// An Ingress that sends everything of one host to one Service.
pub fn simple(name: &str, host: &str, service: &str) -> Value {
    ingress(
        name,
        &json!({"rules": [rule(host, &[path(&[split(service, 100)])])]}),
    )
}

/// A rule of visibility ExternalIP.
pub fn rule(host: &str, paths: &[Value]) -> Value {
    json!({"hosts": [host], "visibility": "ExternalIP", "http": {"paths": paths}})
}

/// A rule of visibility ClusterLocal.
pub fn local_rule(host: &str, paths: &[Value]) -> Value {
    json!({"hosts": [host], "visibility": "ClusterLocal", "http": {"paths": paths}})
}

/// A path that takes all requests.
pub fn path(splits: &[Value]) -> Value {
    json!({"splits": splits})
}

/// A share for port 80 of a Service.
pub fn split(service: &str, percent: u8) -> Value {
    json!({
        "serviceNamespace": NAMESPACE,
        "serviceName": service,
        "servicePort": 80,
        "percent": percent,
    })
}

/// A share that sets one header.
pub fn split_setting(service: &str, percent: u8, header: &str, value: &str) -> Value {
    let mut split = split(service, percent);
    split["appendHeaders"] = json!({header: value});
    split
}

/// One request on a new connection.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Reply {
    ask(address, Ask::get(host, path)).await
}

/// One request on a new connection.
pub async fn ask(address: SocketAddr, ask: Ask) -> Reply {
    let line = Line::new(Target::plain(address, Mode::Fresh));
    line.send(&ask).await.outcome.unwrap()
}

/// What the backend says it received.
pub fn echo(reply: &Reply) -> Echo {
    let text = String::from_utf8_lossy(&reply.body);
    serde_json::from_slice(&reply.body)
        .unwrap_or_else(|error| panic!("status {}: {error}: {text}", reply.status))
}

/// Starts backends with these names.
pub async fn backends<const N: usize>(names: [&str; N]) -> [Backend; N] {
    let started = futures::future::join_all(names.map(Backend::start)).await;
    let started: Vec<_> = started.into_iter().map(Result::unwrap).collect();
    started.try_into().unwrap()
}

/// Waits for a condition, at most 30 s; `what` says what never came.
pub async fn eventually<F>(what: &str, mut holds: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let begun = Instant::now();
    while !holds().await {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "never came: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
