//! Whether whoever shows a token may read a path of the operator's.
//!
//! *Reads* a token and a path. *Gives* yes, or which of the two is not enough.
//! *Never* keeps the token, and never repeats it in an error.

use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::{BOUND, reviewed};

/// The audience that a token for the operator's status is made for. Whoever runs
/// as the operator sees these tokens: one for this audience opens nothing else.
pub const STATUS_AUDIENCE: &str = "sluice-status";

/// Why a path is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The API server refused, could not be reached, or did not answer in time.
    #[error(
        "no review from the API server: {detail}; check the API server and the verb create on tokenreviews and subjectaccessreviews"
    )]
    Unanswered {
        /// What came instead.
        detail: String,
    },
    /// There is no token, or the API server does not accept it.
    #[error(
        "token: {detail}; expected one of this cluster with the audience {STATUS_AUDIENCE:?}, such as kubectl create token gives with --audience {STATUS_AUDIENCE}"
    )]
    Unauthenticated {
        /// What is wrong with it.
        detail: String,
    },
    /// The user is known, and may not.
    #[error(
        "{user} may not get {path}: no rule of a ClusterRole grants it; bind the ClusterRole sluice-status to the user"
    )]
    Forbidden {
        /// Whose the token is.
        user: String,
        /// What was asked for.
        path: String,
    },
}

/// Asks the API server whose a token is, and what they may.
#[derive(Clone)]
pub struct AccessReviewer {
    client: Client,
}

impl AccessReviewer {
    /// A reviewer of tokens with the audience [`STATUS_AUDIENCE`].
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether the token's user may `get` the path, as a nonResourceURL.
    ///
    /// # Errors
    /// [`AccessError`] where they may not, or where nobody says so.
    pub async fn may_get(&self, token: Option<&str>, path: &str) -> Result<(), AccessError> {
        let unauthenticated = |detail: String| AccessError::Unauthenticated { detail };
        let token = token
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| unauthenticated("none was sent".to_owned()))?;
        let status = reviewed(&self.client, token, STATUS_AUDIENCE)
            .await
            .map_err(|detail| AccessError::Unanswered { detail })?;
        if status.authenticated != Some(true) {
            let detail = status.error.unwrap_or_else(|| "no reason given".to_owned());
            return Err(unauthenticated(format!("not accepted ({detail})")));
        }
        // Also what an API server answers that knows no audiences.
        let audiences = status.audiences.unwrap_or_default();
        if !audiences.iter().any(|audience| audience == STATUS_AUDIENCE) {
            return Err(unauthenticated(format!("found audiences {audiences:?}")));
        }
        let user = status.user.unwrap_or_default();
        let name = user.username.clone().unwrap_or_default();
        if name.is_empty() {
            return Err(unauthenticated("it names no user".to_owned()));
        }
        if self.grants(user, path).await? {
            return Ok(());
        }
        Err(AccessError::Forbidden {
            user: name,
            path: path.to_owned(),
        })
    }

    async fn grants(&self, user: UserInfo, path: &str) -> Result<bool, AccessError> {
        let unanswered = |detail| AccessError::Unanswered { detail };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                groups: user.groups,
                uid: user.uid,
                extra: user.extra,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some("get".to_owned()),
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let status = tokio::time::timeout(BOUND, api.create(&params, &review))
            .await
            .map_err(|_| unanswered(format!("no answer within {BOUND:?}")))?
            .map_err(|error| unanswered(error.to_string()))?
            .status
            .ok_or_else(|| unanswered("an answer without a status".to_owned()))?;
        Ok(status.allowed && status.denied != Some(true))
    }
}
