//! The operator's pages, from the replica that leads: a port forwarded to its
//! loopback, and a token that opens nothing else.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Client;
use kube::api::{Api, ListParams, Portforwarder, PostParams};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::error::{AskError, PATIENCE, asked};
use crate::page;

/// Where the operator listens, on its pod's loopback.
const PORT: u16 = 9091;
/// The account whose tokens open the pages, and the audience they are for.
const STATUS: &str = "sluice-status";
/// The shortest life that an API server gives a token.
const TOKEN_SECONDS: i64 = 600;
/// The lease, and the label of operators' pods.
const LEASE: &str = "sluice-operator";
const OPERATOR: (&str, &str) = ("app", "sluice-operator");
const PROVIDER: &str = "networking.knative.dev/ingress-provider=sluice";
const VERSION_LABEL: &str = "app.kubernetes.io/version";
/// A page of ten thousand Ingresses is well below.
const PAGE_BYTES: usize = 64 << 20;

/// What runs in the pod of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Of Sluice's companion, by the pod's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of Envoy, by the tag of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy: Option<String>,
}

/// A token, which no log and no error shows.
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// A way to one operator's pages.
#[derive(Debug)]
pub struct Pages {
    pod: String,
    token: Token,
    sender: SendRequest<Empty<Bytes>>,
    builds: BTreeMap<String, Build>,
    driver: JoinHandle<()>,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Pages {
    /// Forwards a port to the replica that leads, or to any that is ready while
    /// none does, and asks for a token for it.
    ///
    /// # Errors
    /// No operator, no right, no answer: each names what is missing.
    pub async fn open(client: Client, namespace: &str) -> Result<Self, AskError> {
        let fix = format!(
            "bind the Role {STATUS} to yourself: kubectl -n {namespace} create rolebinding {STATUS} --role={STATUS} --user=YOU"
        );
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let params = ListParams::default().labels(PROVIDER);
        let doing = format!("list pods in namespace {namespace}");
        let listed = asked(&doing, &fix, pods.list(&params)).await?.items;

        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let doing = format!("get the lease {LEASE} in namespace {namespace}");
        let lease = asked(&doing, &fix, leases.get_opt(LEASE)).await?;
        let leader = lease.and_then(|lease| lease.spec?.holder_identity);
        let pod = chosen(namespace, &listed, leader.as_deref())?;

        let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![STATUS.to_owned()],
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let doing = format!("create serviceaccounts/token of {STATUS} in namespace {namespace}");
        let params = PostParams::default();
        let made = accounts.create_token_request(STATUS, &params, &request);
        let made = asked(&doing, &fix, made).await?;
        let token = Token(made.status.map(|status| status.token).unwrap_or_default());

        let doing = format!("create pods/portforward of {pod} in namespace {namespace}");
        let mut forward = asked(&doing, &fix, pods.portforward(&pod, &[PORT])).await?;
        let broken = |said: &str| AskError::Broken {
            path: format!("port {PORT}"),
            pod: pod.clone(),
            said: said.to_owned(),
        };
        let stream = forward
            .take_stream(PORT)
            .ok_or_else(|| broken("it has no stream"))?;
        let mut pages = Self::over(stream, pod.clone(), token, Some(forward)).await?;
        pages.builds = builds(&listed);
        Ok(pages)
    }

    /// Asks over a connection that is there; `kept` lives as long as that.
    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        pod: String,
        token: Token,
        kept: Option<Portforwarder>,
    ) -> Result<Self, AskError> {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| AskError::Broken {
            path: format!("port {PORT}"),
            pod: pod.clone(),
            said: error.to_string(),
        })?;
        let driver = tokio::spawn(async move {
            // What breaks is said by the request that it breaks.
            let _ = connection.await;
            drop(kept);
        });
        Ok(Self {
            pod,
            token,
            sender,
            builds: BTreeMap::new(),
            driver,
        })
    }

    /// What runs in each gateway's pod, as the list of pods had it.
    #[must_use]
    pub fn builds(&self) -> &BTreeMap<String, Build> {
        &self.builds
    }

    /// The replica that is asked.
    ///
    /// # Errors
    /// No answer, or one that is no page.
    pub async fn operator(&mut self) -> Result<page::Operator, AskError> {
        self.get("/status/v1/operator").await
    }

    /// What gateways hold.
    ///
    /// # Errors
    /// No answer, or one that is no page.
    pub async fn gateways(&mut self) -> Result<page::Gateways, AskError> {
        self.get("/status/v1/gateways").await
    }

    /// What gateways refused.
    ///
    /// # Errors
    /// No answer, or one that is no page.
    pub async fn refusals(&mut self) -> Result<page::Refusals, AskError> {
        self.get("/status/v1/refusals").await
    }

    /// How far Ingresses are.
    ///
    /// # Errors
    /// No answer, or one that is no page.
    pub async fn ingresses(&mut self) -> Result<page::Ingresses, AskError> {
        self.get("/status/v1/ingresses").await
    }

    /// What gateways serve for one Ingress; `None` where the operator knows none of
    /// that name.
    ///
    /// # Errors
    /// No answer, or one that is no page.
    pub async fn plan(
        &mut self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<page::Plan>, AskError> {
        let path = format!("/status/v1/plan?ingress={namespace}/{name}");
        match self.get(&path).await {
            Ok(plan) => Ok(Some(plan)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, AskError> {
        let pod = self.pod.clone();
        let broken = |said: String| AskError::Broken {
            path: path.to_owned(),
            pod: pod.clone(),
            said,
        };
        let request = Request::get(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.0))
            .body(Empty::new());
        // The token is in there, and an error may show what it could not take.
        let request = request.map_err(|_| broken("the token is none".to_owned()))?;
        let answered = async {
            let response = self.sender.send_request(request).await;
            let (parts, body) = response.map_err(|error| error.to_string())?.into_parts();
            let body = Limited::new(body, PAGE_BYTES).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok::<_, String>((parts.status, body))
        };
        let (status, body) = tokio::time::timeout(PATIENCE, answered)
            .await
            .map_err(|_| broken(format!("no answer within {} s", PATIENCE.as_secs())))?
            .map_err(broken)?;
        if status != StatusCode::OK {
            let said = String::from_utf8_lossy(&body).trim().to_owned();
            let words = serde_json::from_str::<serde_json::Value>(&said);
            let words = words
                .ok()
                .and_then(|said| Some(said.get("error")?.as_str()?.to_owned()));
            return Err(AskError::NoPage {
                path: path.to_owned(),
                pod,
                status,
                said: words.unwrap_or(said),
            });
        }
        serde_json::from_slice(&body).map_err(|source| AskError::Unreadable {
            path: path.to_owned(),
            pod,
            source,
        })
    }
}

/// The pod to ask: who leads, or else the first by name that is ready.
fn chosen(namespace: &str, pods: &[Pod], leader: Option<&str>) -> Result<String, AskError> {
    let label = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get(OPERATOR.0))
            .map(String::as_str)
            == Some(OPERATOR.1)
    };
    let mut operators: Vec<&Pod> = pods.iter().filter(label).collect();
    operators.sort_by_key(|pod| pod.metadata.name.clone());
    let names = |pods: &[&Pod]| -> Vec<String> {
        pods.iter()
            .filter_map(|pod| pod.metadata.name.clone())
            .collect()
    };
    if operators.is_empty() {
        return Err(AskError::NoOperator {
            namespace: namespace.to_owned(),
        });
    }
    let ready: Vec<&Pod> = operators
        .iter()
        .copied()
        .filter(|pod| is_ready(pod))
        .collect();
    let ready = names(&ready);
    // A replica calls itself by its pod and its process.
    let leader = leader.and_then(|holder| Some(holder.rsplit_once('_')?.0));
    let leads = |name: &&String| Some(name.as_str()) == leader;
    ready
        .iter()
        .find(leads)
        .or(ready.first())
        .cloned()
        .ok_or_else(|| AskError::NoneReady {
            namespace: namespace.to_owned(),
            pods: names(&operators).join(", "),
        })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let is_true = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    is_true && pod.metadata.deletion_timestamp.is_none()
}

/// What the pods with an Envoy run.
fn builds(pods: &[Pod]) -> BTreeMap<String, Build> {
    let build = |pod: &Pod| {
        let name = pod.metadata.name.clone()?;
        let envoy = pod
            .spec
            .as_ref()?
            .containers
            .iter()
            .find(|one| one.name == "envoy")?;
        let labels = pod.metadata.labels.as_ref();
        let build = Build {
            version: labels.and_then(|labels| labels.get(VERSION_LABEL)).cloned(),
            envoy: envoy.image.as_deref().and_then(version_of_image),
        };
        Some((name, build))
    };
    pods.iter().filter_map(build).collect()
}

/// The version that stands in an image's tag, such as `distroless-v1.40.0`.
#[must_use]
pub fn version_of_image(image: &str) -> Option<String> {
    let image = image.split('@').next()?;
    let (_, tag) = image.rsplit_once(':')?;
    let version = tag
        .split('-')
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))?;
    (!version.contains('/')).then(|| version.to_owned())
}
