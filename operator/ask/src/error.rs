//! Why there is no answer, said so that it can be mended.

use std::future::Future;
use std::time::Duration;

use http::StatusCode;
use kube::Error;
use kube::client::UpgradeConnectionError;

/// How long one answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing of Sluice's is there.
    #[error(
        "no operator is in namespace {namespace}: no pod there has the label app=sluice-operator; name its own by --namespace, or install Sluice first"
    )]
    NoOperator {
        /// Where it was looked for.
        namespace: String,
    },
    /// There are operators, and none is ready.
    #[error(
        "no operator of namespace {namespace} is ready (found {pods}); see why by: kubectl -n {namespace} describe pods -l app=sluice-operator"
    )]
    NoneReady {
        /// Where it was looked for.
        namespace: String,
        /// Their names.
        pods: String,
    },
    /// The API server does not let who asks do this.
    #[error("no right to {doing} (the API server says: {said}); {fix}")]
    Forbidden {
        /// What needs the right.
        doing: String,
        /// The API server's words.
        said: String,
        /// Whose Role has it.
        fix: String,
    },
    /// What should be there is not.
    #[error("{doing}: not there ({said}); apply the manifest of this version of Sluice again")]
    Missing {
        /// What was asked for.
        doing: String,
        /// The API server's words.
        said: String,
    },
    /// The API server did not do what was asked for.
    #[error("{doing}: {source}")]
    Api {
        /// What was asked for.
        doing: String,
        /// What became of it.
        #[source]
        source: Error,
    },
    /// Nobody answered in time.
    #[error("{doing}: no answer within {} s", PATIENCE.as_secs())]
    Silent {
        /// What was asked for.
        doing: String,
    },
    /// The forwarded connection broke.
    #[error("{path} of pod {pod}: the forwarded connection broke: {said}")]
    Broken {
        /// What was asked for.
        path: String,
        /// Of whom.
        pod: String,
        /// What became of it.
        said: String,
    },
    /// The operator has no such page for who asks.
    #[error("{path} of pod {pod}: {status}: {said}")]
    NoPage {
        /// What was asked for.
        path: String,
        /// Of whom.
        pod: String,
        /// Its answer.
        status: StatusCode,
        /// Its words.
        said: String,
    },
    /// The answer is no page that this build can read.
    #[error(
        "{path} of pod {pod} is no page that this build reads: {source}; use the sluice of the cluster's version (sluice version)"
    )]
    Unreadable {
        /// What was asked for.
        path: String,
        /// Of whom.
        pod: String,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
}

impl AskError {
    /// The error with its causes, but for those that its words quote already.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut words = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let said = error.to_string();
            if !words.contains(&said) {
                words = format!("{words}: {said}");
            }
            cause = error.source();
        }
        words
    }

    /// Whether no API server answers, or it does not know who asks.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Api { source, .. } => match source {
                Error::Api(status) => status.code == StatusCode::UNAUTHORIZED.as_u16(),
                Error::Service(_) | Error::HyperError(_) | Error::Auth(_) => true,
                _ => false,
            },
            Self::Silent { .. } => true,
            _ => false,
        }
    }

    /// Whether the operator knows no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NoPage { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    fn of(doing: &str, fix: &str, source: Error) -> Self {
        let doing = doing.to_owned();
        let (code, said) = match &source {
            Error::Api(status) => (status.code, status.message.clone()),
            Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
                (status.as_u16(), status.to_string())
            }
            _ => (0, String::new()),
        };
        if code == StatusCode::FORBIDDEN.as_u16() {
            let fix = fix.to_owned();
            return Self::Forbidden { doing, said, fix };
        }
        if code == StatusCode::NOT_FOUND.as_u16() {
            return Self::Missing { doing, said };
        }
        Self::Api { doing, source }
    }
}

/// What the API server answers; `fix` says where the right is that it may want.
pub(crate) async fn asked<T>(
    doing: &str,
    fix: &str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, AskError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(AskError::of(doing, fix, error)),
        Err(_) => Err(AskError::Silent {
            doing: doing.to_owned(),
        }),
    }
}
