//! The proof that traffic flows: an Ingress of its own, and one request through it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::error::told;
use crate::manifest::{Object, Reference};
use crate::wait::{Deadline, ready};
use crate::{InstallError, plan, product};

/// The port of a gateway's pod for plain HTTP.
const POD_PORT: u16 = 8080;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take until a request is answered as it should be.
const PROOF: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(500);
const NAME: &str = "sluice-install-proof";
/// Of no domain that anybody can have.
const HOST: &str = "proof.sluice-install.invalid";

/// How clients outside come to the gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// An IP address, or the name that a balancer has.
    pub host: String,
    /// 80, or a node's port.
    pub port: u16,
    /// True of a balancer's.
    pub balanced: bool,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Address {
    /// The domain that a public resolver leads to this address, without anybody's doing.
    #[must_use]
    pub fn magic_domain(&self) -> Option<String> {
        let address: std::net::IpAddr = self.host.parse().ok()?;
        Some(match address {
            std::net::IpAddr::V4(address) => format!("{address}.sslip.io"),
            std::net::IpAddr::V6(address) => {
                format!("{}.sslip.io", address.to_string().replace(':', "-"))
            }
        })
    }

    /// What comes after a host in a URL.
    #[must_use]
    pub fn suffix(&self) -> String {
        if self.port == 80 {
            String::new()
        } else {
            format!(":{}", self.port)
        }
    }
}

/// The balancer's address, waited for; else that of a node, with the Service's port there.
pub(crate) async fn address(
    cluster: &Cluster,
    patience: Duration,
) -> Result<Address, InstallError> {
    let reference = Reference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Some(product::NAMESPACE.to_owned()),
        name: "sluice".to_owned(),
    };
    let refused = |error| InstallError::refused(&reference, &error);
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), product::NAMESPACE);
    let deadline = Deadline::within(patience);
    // Without a balancer there is another way, so that it does not come is no error.
    let balanced = deadline
        .until("no balancer", || async {
            let service = services.get("sluice").await.map_err(refused)?;
            Ok(balancer(&service)
                .is_none()
                .then(|| "no address".to_owned()))
        })
        .await;
    let service = services.get("sluice").await.map_err(refused)?;
    if balanced.is_ok()
        && let Some(host) = balancer(&service)
    {
        return Ok(Address {
            host,
            port: 80,
            balanced: true,
        });
    }
    let port = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    let port = port
        .filter(|port| port.port == 80)
        .find_map(|port| u16::try_from(port.node_port?).ok());
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let nodes = nodes.list(&ListParams::default()).await.map_err(refused)?;
    let host = ["ExternalIP", "InternalIP"].iter().find_map(|kind| {
        nodes.items.iter().find_map(|node| {
            let addresses = node.status.as_ref()?.addresses.as_ref()?;
            addresses
                .iter()
                .find(|address| address.type_ == *kind)
                .map(|address| address.address.clone())
        })
    });
    match (host, port) {
        (Some(host), Some(port)) => Ok(Address {
            host,
            port,
            balanced: false,
        }),
        _ => Err(InstallError::Timeout {
            what: "Service sluice-system/sluice has no address".to_owned(),
            after: deadline.elapsed(),
            missing: "no balancer gave it one, and it has no port on a node; next: kubectl -n sluice-system describe service sluice".to_owned(),
        }),
    }
}

fn balancer(service: &Service) -> Option<String> {
    let ingress = service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?;
    ingress
        .iter()
        .find_map(|entry| entry.ip.clone().or_else(|| entry.hostname.clone()))
}

/// What the proof consists of: a Service that leads to the operators' health, and an
/// Ingress that leads there.
pub(crate) fn objects() -> Result<Vec<Object>, InstallError> {
    let metadata = json!({
        "name": NAME,
        "namespace": product::NAMESPACE,
        "labels": {"networking.knative.dev/ingress-provider": "sluice"},
        "annotations": {"networking.knative.dev/ingress.class": plan::CLASS},
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "selector": {"app": "sluice-operator"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    });
    let ingress = json!({
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {
            "httpOption": "Enabled",
            "rules": [{
                "hosts": [HOST],
                "visibility": "ExternalIP",
                "http": {"paths": [{"splits": [{
                    "serviceName": NAME,
                    "serviceNamespace": product::NAMESPACE,
                    "servicePort": 80,
                    "percent": 100,
                }]}]},
            }],
        },
    });
    Ok(vec![
        Object::new(service, NAME)?,
        Object::new(ingress, NAME)?,
    ])
}

/// Sends one request through the gateways, and gives the way it took.
pub(crate) async fn prove(
    cluster: &Cluster,
    address: &Address,
    deadline: Deadline,
) -> Result<String, InstallError> {
    let asked = again(deadline, async || by_address(cluster, address).await);
    while_served(cluster, deadline, asked).await
}

/// Sends one request through the gateway in this pod.
pub(crate) async fn prove_pod(
    cluster: &Cluster,
    pod: &str,
    deadline: Deadline,
) -> Result<(), InstallError> {
    let asked = again(deadline, async || by_pod(cluster, pod).await);
    while_served(cluster, deadline, asked).await
}

/// Asks until it is answered: a balancer takes connections before it knows of gateways.
async fn again<T>(
    deadline: Deadline,
    mut ask: impl AsyncFnMut() -> Result<T, InstallError>,
) -> Result<T, InstallError> {
    let patience = deadline.at_most(PROOF);
    loop {
        match ask().await {
            Err(_) if !patience.is_over() => sleep(INTERVAL).await,
            answered => return answered,
        }
    }
}

/// Has the gateways serve the proof for as long as something is asked of it.
async fn while_served<T>(
    cluster: &Cluster,
    deadline: Deadline,
    asked: impl Future<Output = Result<T, InstallError>>,
) -> Result<T, InstallError> {
    let objects = objects()?;
    for object in &objects {
        let applied = cluster.apply(object).await;
        applied.map_err(|error| InstallError::refused(&object.reference, &error))?;
    }
    let proven = async {
        for object in objects
            .iter()
            .filter(|object| object.reference.kind == "Ingress")
        {
            ready(cluster, &object.reference, deadline).await?;
        }
        asked.await
    }
    .await;
    for object in objects.iter().rev() {
        cluster.delete(&object.reference).await?;
    }
    proven
}

fn failed(address: &impl std::fmt::Display, what: String) -> InstallError {
    InstallError::Request {
        address: address.to_string(),
        host: HOST.to_owned(),
        what,
    }
}

async fn by_address(cluster: &Cluster, address: &Address) -> Result<String, InstallError> {
    if let Ok(Ok(stream)) = timeout(PATIENCE, dial(address)).await {
        ask(stream).await.map_err(|what| failed(address, what))?;
        return Ok(format!("200 by {address}"));
    }
    // From here there may be no way to a node's own address.
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), product::NAMESPACE);
    let gateways = pods
        .list_metadata(&ListParams::default().labels("app=sluice-gateway"))
        .await
        .map_err(|error| failed(address, told(&error)))?;
    let name = gateways
        .items
        .into_iter()
        .find_map(|pod| pod.metadata.name)
        .ok_or_else(|| failed(address, "there is no pod of sluice-gateway".to_owned()))?;
    by_pod(cluster, &name).await?;
    Ok(format!(
        "200 by pod {name}, through the API server; {address} cannot be reached from here"
    ))
}

async fn by_pod(cluster: &Cluster, name: &str) -> Result<(), InstallError> {
    let stream = forwarded(cluster, name, POD_PORT).await;
    let asked = match stream {
        Ok(stream) => ask(stream).await,
        Err(what) => Err(what),
    };
    asked.map_err(|what| failed(&name, what))
}

/// A connection to a port of a gateway's pod, through the API server.
pub(crate) async fn forwarded(
    cluster: &Cluster,
    pod: &str,
    port: u16,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), product::NAMESPACE);
    let forwarding = timeout(PATIENCE, pods.portforward(pod, &[port])).await;
    let forwarding = forwarding.map_err(|_| format!("no port within {} s", PATIENCE.as_secs()))?;
    let mut forwarder = forwarding.map_err(|error| told(&error))?;
    forwarder
        .take_stream(port)
        .ok_or_else(|| "the API server forwards no port".to_owned())
}

async fn dial(address: &Address) -> std::io::Result<TcpStream> {
    match address.host.parse() {
        Ok(host) => TcpStream::connect(SocketAddr::new(host, address.port)).await,
        Err(_) => TcpStream::connect((address.host.as_str(), address.port)).await,
    }
}

async fn ask<S>(stream: S) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let request = Request::get("/healthz")
            .header(http::header::HOST, HOST)
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string());
        driver.abort();
        let status = answer?.status();
        if status == StatusCode::OK {
            Ok(())
        } else {
            Err(format!("found {status}, expected 200"))
        }
    };
    timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_domain_that_needs_no_dns_of_ones_own() {
        let at = |host: &str| Address {
            host: host.to_owned(),
            port: 80,
            balanced: true,
        };
        assert_eq!(
            at("10.0.0.1").magic_domain().as_deref(),
            Some("10.0.0.1.sslip.io")
        );
        assert_eq!(
            at("2001:db8::1").magic_domain().as_deref(),
            Some("2001-db8--1.sslip.io")
        );
        assert_eq!(at("elb.example.com").magic_domain(), None);
    }

    #[test]
    fn a_balancer_has_an_address_or_a_name() {
        let service = |ingress: serde_json::Value| -> Service {
            serde_json::from_value(json!({"status": {"loadBalancer": {"ingress": ingress}}}))
                .unwrap()
        };
        assert_eq!(
            balancer(&service(json!([{"ip": "10.0.0.1"}]))).as_deref(),
            Some("10.0.0.1")
        );
        assert_eq!(
            balancer(&service(json!([{"hostname": "elb"}]))).as_deref(),
            Some("elb")
        );
        assert_eq!(balancer(&Service::default()), None);
    }
}
