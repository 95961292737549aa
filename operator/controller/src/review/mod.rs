//! Which gateway pod a service-account token belongs to, and what a token opens.
//!
//! *Reads* a token. *Gives* the pod that the API server says it was made for.
//! *Never* keeps the token, and never repeats it in an error.

mod access;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{
    TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo,
};
use kube::api::PostParams;
use kube::{Api, Client};

pub use access::{AccessError, AccessReviewer, STATUS_AUDIENCE};

/// The audience that a token for the xDS port is made for.
pub const XDS_AUDIENCE: &str = "sluice-xds";
/// The service account of the gateways' pods.
pub const GATEWAY_SERVICE_ACCOUNT: &str = "sluice-gateway";

/// Where the API server puts the pod that a bound token was made for.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
/// A pod that starts waits for the answer and tries again without one.
const BOUND: Duration = Duration::from_secs(10);

/// One pod of the gateways.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
}

/// Why a token names no gateway. Each but [`ReviewError::Unanswered`] is the
/// token's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// There is nothing to review.
    #[error(
        "gateway token: empty, expected the service-account token of the pod; mount a projected token with the audience {audience:?}"
    )]
    Empty {
        /// The audience to ask for.
        audience: String,
    },
    /// The API server refused, could not be reached, or did not answer in time.
    #[error(
        "gateway token: no review from the API server: {detail}; check the API server and the verb create on tokenreviews"
    )]
    Unanswered {
        /// What came instead.
        detail: String,
    },
    /// The API server does not accept the token.
    #[error(
        "gateway token: not accepted by the API server ({detail}); expected a token of this cluster that has not expired, with the audience {audience:?}"
    )]
    NotAuthenticated {
        /// What the API server said.
        detail: String,
        /// The audience that was asked for.
        audience: String,
    },
    /// The token is for others. Also what an API server answers that knows no
    /// audiences, and would let any token pass.
    #[error(
        "gateway token: found audiences {found:?}, expected {expected:?}; mount a projected token with that audience"
    )]
    OtherAudience {
        /// The audiences that the API server confirmed.
        found: Vec<String>,
        /// The audience that was asked for.
        expected: String,
    },
    /// The token is of another user.
    #[error(
        "gateway token: found user {found:?}, expected {expected:?}; run gateways under that service account"
    )]
    OtherUser {
        /// The token's user.
        found: String,
        /// The gateways' user.
        expected: String,
    },
    /// The token is not bound to one pod.
    #[error(
        "gateway token: found {found} pod names, expected 1; use a projected token, which is bound to its pod, not one of a Secret"
    )]
    NotOfOnePod {
        /// How many pods it names.
        found: usize,
    },
}

impl ReviewError {
    /// Whether another try with the same token may do better.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }
}

/// Asks the API server about tokens.
#[derive(Clone)]
pub struct TokenReviewer {
    /// The API server.
    pub client: Client,
    /// The audience that a token must be made for.
    pub audience: String,
    /// The namespace of the gateways.
    pub namespace: String,
    /// The service account of the gateways.
    pub service_account: String,
}

impl TokenReviewer {
    /// A reviewer of tokens with the audience [`XDS_AUDIENCE`] of
    /// [`GATEWAY_SERVICE_ACCOUNT`] in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self {
            client,
            audience: XDS_AUDIENCE.to_owned(),
            namespace: namespace.into(),
            service_account: GATEWAY_SERVICE_ACCOUNT.to_owned(),
        }
    }

    /// The pod that the token was made for, within ten seconds.
    ///
    /// # Errors
    /// [`ReviewError`] where there is no such pod, or no answer.
    pub async fn review(&self, token: &str) -> Result<Pod, ReviewError> {
        if token.trim().is_empty() {
            return Err(ReviewError::Empty {
                audience: self.audience.clone(),
            });
        }
        let status = reviewed(&self.client, token, &self.audience)
            .await
            .map_err(|detail| ReviewError::Unanswered { detail })?;
        if status.authenticated != Some(true) {
            return Err(ReviewError::NotAuthenticated {
                detail: status.error.unwrap_or_else(|| "no reason given".to_owned()),
                audience: self.audience.clone(),
            });
        }
        let audiences = status.audiences.unwrap_or_default();
        if !audiences.contains(&self.audience) {
            return Err(ReviewError::OtherAudience {
                found: audiences,
                expected: self.audience.clone(),
            });
        }
        self.pod_of(status.user.unwrap_or_default())
    }

    fn pod_of(&self, user: UserInfo) -> Result<Pod, ReviewError> {
        let expected = format!(
            "system:serviceaccount:{}:{}",
            self.namespace, self.service_account
        );
        let found = user.username.unwrap_or_default();
        if found != expected {
            return Err(ReviewError::OtherUser { found, expected });
        }
        let names = user.extra.unwrap_or_default().remove(POD_NAME);
        let mut names: Vec<String> = names.unwrap_or_default();
        names.retain(|name| !name.is_empty());
        match (names.pop(), names.len()) {
            (Some(pod), 0) => Ok(Pod {
                namespace: self.namespace.clone(),
                pod,
            }),
            (last, others) => Err(ReviewError::NotOfOnePod {
                found: others + usize::from(last.is_some()),
            }),
        }
    }
}

/// What the API server says of a token, or what came instead, without the token.
async fn reviewed(
    client: &Client,
    token: &str,
    audience: &str,
) -> Result<TokenReviewStatus, String> {
    // The server may quote what it was sent.
    let without_token = |text: String| text.replace(token, "(the token)");
    let review = TokenReview {
        spec: TokenReviewSpec {
            audiences: Some(vec![audience.to_owned()]),
            token: Some(token.to_owned()),
        },
        ..TokenReview::default()
    };
    let api: Api<TokenReview> = Api::all(client.clone());
    let params = PostParams::default();
    let mut status = tokio::time::timeout(BOUND, api.create(&params, &review))
        .await
        .map_err(|_| format!("no answer within {BOUND:?}"))?
        .map_err(|error| without_token(error.to_string()))?
        .status
        .ok_or("an answer without a status")?;
    status.error = status.error.map(without_token);
    Ok(status)
}
