//! What the operator does and why, for whoever may know: `/status/v1/…` as JSON.
//! GET only; nothing is gathered before somebody asks.
//!
//! It listens on the pod's loopback: reached by port-forward, so that a token is
//! never in clear on a network, and no pod of the cluster can knock. Who asks
//! shows a token that is good for this and nothing else ([`STATUS_AUDIENCE`]), and
//! its user needs the verb `get` on the path. That is a nonResourceURL, as with the
//! metrics of other controllers, and not a namespaced resource: hosts belong to
//! Ingresses of all namespaces, so a right in one of them would promise too little
//! or show too much.
//!
//! [`STATUS_AUDIENCE`]: sluice_controller::review::STATUS_AUDIENCE

mod page;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Serialize;
use sluice_controller::review::{AccessError, AccessReviewer};
use sluice_controller::{Health, Inspector, Unanswered};
use sluice_ir::ObjectKey;
use sluice_xds::Publisher;
use tokio::net::TcpListener;

use super::listen::{self, Answer, text};

/// A controller that does not answer for so long hangs; who asks is told so.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

const PATHS: &str = "here are /status/v1/operator, /status/v1/gateways, \
    /status/v1/refusals, /status/v1/ingresses[?namespace=NAMESPACE] and \
    /status/v1/plan?ingress=NAMESPACE/NAME\n";

/// What answers are made from.
pub(super) struct Status {
    /// This replica.
    pub(super) identity: String,
    pub(super) access: AccessReviewer,
    pub(super) inspector: Inspector,
    pub(super) health: Arc<Health>,
    pub(super) publisher: Publisher,
}

/// Answers for as long as the process lives.
pub(super) async fn serve(listener: TcpListener, status: Status) {
    let status = Arc::new(status);
    let answer = move |request: Request<Incoming>| {
        let status = Arc::clone(&status);
        async move { status.answer(&request).await }
    };
    listen::serve(listener, answer).await;
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum NoPage {
    #[error("only GET is answered here")]
    Method,
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("{path}: no such path; {PATHS}")]
    Path { path: String },
    #[error("query: found {found:?}, expected {expected}")]
    Query {
        found: String,
        expected: &'static str,
    },
    #[error("ingress {0}: not known here; none of Sluice's class has this name")]
    Ingress(ObjectKey),
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("the event loop did not answer within {ANSWER_BOUND:?}; /healthz says more")]
    Slow(#[from] tokio::time::error::Elapsed),
    #[error("writing the answer: {0}")]
    Json(#[from] serde_json::Error),
}

impl NoPage {
    fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Access(AccessError::Unauthenticated { .. }) => StatusCode::UNAUTHORIZED,
            Self::Access(AccessError::Forbidden { .. }) => StatusCode::FORBIDDEN,
            Self::Path { .. } | Self::Ingress(_) => StatusCode::NOT_FOUND,
            Self::Query { .. } => StatusCode::BAD_REQUEST,
            Self::Access(AccessError::Unanswered { .. }) | Self::Unanswered(_) | Self::Slow(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Status {
    async fn answer<B>(&self, request: &Request<B>) -> Answer {
        match self.page(request).await {
            Ok(json) => with_type(text(StatusCode::OK, json)),
            Err(why) => {
                let status = why.status();
                let json = serde_json::json!({ "error": why.to_string() });
                let mut answer = with_type(text(status, format!("{json}\n")));
                if status == StatusCode::UNAUTHORIZED {
                    let scheme = HeaderValue::from_static("Bearer");
                    answer
                        .headers_mut()
                        .insert(header::WWW_AUTHENTICATE, scheme);
                }
                answer
            }
        }
    }

    async fn page<B>(&self, request: &Request<B>) -> Result<Vec<u8>, NoPage> {
        if request.method() != Method::GET {
            return Err(NoPage::Method);
        }
        // Before anything else: a stranger is not told which paths there are.
        let path = request.uri().path();
        self.access.may_get(bearer(request), path).await?;
        let query = request.uri().query().unwrap_or_default();
        let gathered = async {
            match path {
                "/status/v1/operator" => json(&self.operator()),
                "/status/v1/gateways" => json(&self.gateways().await?),
                "/status/v1/refusals" => json(&page::Refusals::of(&self.publisher.fleet())),
                "/status/v1/ingresses" => json(&self.ingresses(query).await?),
                "/status/v1/plan" => json(&self.plan(query).await?),
                _ => Err(NoPage::Path {
                    path: path.to_owned(),
                }),
            }
        };
        tokio::time::timeout(ANSWER_BOUND, gathered).await?
    }

    fn operator(&self) -> page::Operator {
        let snapshot = self.health.snapshot();
        page::Operator {
            name: self.identity.clone(),
            version: env!("CARGO_PKG_VERSION"),
            leads: snapshot.leads,
            revision: self.publisher.revision().0,
            missing: self.health.ready().err().unwrap_or_default(),
            complaints: self.health.complaints().into_values().collect(),
        }
    }

    async fn gateways(&self) -> Result<page::Gateways, NoPage> {
        let quorum = self.inspector.gateways().await?;
        let revision = self.publisher.revision();
        let since = |at: Instant| {
            let at = SystemTime::now().checked_sub(at.elapsed())?;
            Timestamp::try_from(at).ok()
        };
        let fleet = self.publisher.fleet();
        Ok(page::Gateways::of(revision, &quorum, &fleet, since))
    }

    async fn ingresses(&self, query: &str) -> Result<page::Ingresses, NoPage> {
        let namespace = match query.split_once('=') {
            None if query.is_empty() => None,
            Some(("namespace", namespace)) if is_name(namespace) => Some(namespace.to_owned()),
            _ => return Err(wrong(query, "nothing, or namespace=NAMESPACE")),
        };
        let ingresses = self.inspector.ingresses(namespace).await?;
        Ok(page::Ingresses::of(ingresses))
    }

    async fn plan(&self, query: &str) -> Result<page::PlanPage, NoPage> {
        let key = query
            .strip_prefix("ingress=")
            .and_then(|key| key.split_once('/'))
            .filter(|(namespace, name)| is_name(namespace) && is_name(name))
            .map(|(namespace, name)| ObjectKey::new(namespace, name))
            .ok_or_else(|| wrong(query, "ingress=NAMESPACE/NAME"))?;
        let found = self.inspector.ingress(key.clone()).await?;
        let (ingress, planned) = found.ok_or(NoPage::Ingress(key))?;
        Ok(page::PlanPage::of(ingress, planned.as_ref()))
    }
}

/// Whether a text may be a name of Kubernetes: so no query needs decoding.
fn is_name(text: &str) -> bool {
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    !text.is_empty() && text.bytes().all(is_of_names)
}

fn wrong(query: &str, expected: &'static str) -> NoPage {
    NoPage::Query {
        found: query.to_owned(),
        expected,
    }
}

fn json(page: &impl Serialize) -> Result<Vec<u8>, NoPage> {
    let mut json = serde_json::to_vec(page)?;
    json.push(b'\n');
    Ok(json)
}

fn with_type(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn bearer<B>(request: &Request<B>) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
