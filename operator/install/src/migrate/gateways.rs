//! The proof that every gateway serves a host: Knative's own probe, through the API server.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Empty;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::time::timeout;

use super::select::Served;
use crate::cluster::Cluster;
use crate::error::told;
use crate::request::forwarded;
use crate::wait::{Deadline, unready};
use crate::{InstallError, product};

/// The ports of a gateway's pod for plain HTTP, from outside and from inside.
const OUTSIDE: u16 = 8080;
const INSIDE: u16 = 8081;
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until every gateway that is ready serves all hosts; how many gateways. Those
/// that come later start with all that these have.
pub(super) async fn verify(
    cluster: &Cluster,
    hosts: &[Served],
    deadline: Deadline,
) -> Result<usize, InstallError> {
    deadline
        .until("the gateways do not serve it", || async {
            let found = gateways(cluster).await?;
            if found.is_empty() {
                return Ok(Some("no gateway is ready; next: sluice status".to_owned()));
            }
            Ok(unserved(cluster, &found, hosts).await)
        })
        .await?;
    Ok(gateways(cluster).await?.len())
}

/// The pods of gateways that take requests.
async fn gateways(cluster: &Cluster) -> Result<Vec<String>, InstallError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), product::NAMESPACE);
    let selected = ListParams::default().labels("app=sluice-gateway");
    let listed = pods.list(&selected).await;
    let listed = listed.map_err(|error| InstallError::Refused {
        object: format!("Pods of {}", product::NAMESPACE),
        what: told(&error),
    })?;
    Ok(listed
        .items
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none() && unready(pod).is_none())
        .filter_map(|pod| pod.metadata.name)
        .collect())
}

/// The first gateway that does not serve a host, with what it answers.
async fn unserved(cluster: &Cluster, gateways: &[String], hosts: &[Served]) -> Option<String> {
    for gateway in gateways {
        for (port, inside) in [(OUTSIDE, false), (INSIDE, true)] {
            let hosts = hosts.iter().filter(|served| served.inside == inside);
            let hosts: Vec<&str> = hosts.map(|served| served.host.as_str()).collect();
            if hosts.is_empty() {
                continue;
            }
            if let Err(what) = ask_all(cluster, gateway, port, &hosts).await {
                return Some(format!("gateway {gateway}: {what}"));
            }
        }
    }
    None
}

async fn ask_all(cluster: &Cluster, pod: &str, port: u16, hosts: &[&str]) -> Result<(), String> {
    let stream = forwarded(cluster, pod, port).await?;
    let shaken = handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let mut asked = Ok(());
    for host in hosts {
        asked = timeout(PATIENCE, ask(&mut sender, host))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            .map_err(|what| format!("host {host}: {what}"));
        if asked.is_err() {
            break;
        }
    }
    driver.abort();
    asked
}

/// Asks as Knative's own prober does (`networking/pkg/status`): who serves a host answers
/// with the hash of its Ingress, and no pod is started for it.
async fn ask(sender: &mut SendRequest<Empty<Bytes>>, host: &str) -> Result<(), String> {
    let request = Request::get("/healthz")
        .header(HOST, host)
        .header("user-agent", "Knative-Ingress-Probe")
        .header("k-network-probe", "probe")
        .header("k-network-hash", "override")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let sent = sender.send_request(request).await;
    let answer = sent.map_err(|error| error.to_string())?;
    let header = |name: &str| answer.headers().get(name)?.to_str().ok();
    let reason = header("x-sluice-reason").unwrap_or_default();
    // To say that https is wanted is to know the host.
    if header("k-network-hash").is_some() || reason.starts_with("HttpsRequired") {
        return Ok(());
    }
    Err(format!(
        "found {} {reason}, expected the hash of its Ingress",
        answer.status()
    ))
}
