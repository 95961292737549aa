//! Why the authority could not be kept.

use std::time::Duration;

use kube::runtime::watcher;

/// What went wrong around the Secret or the ConfigMap. Says of the API
/// server's answer only its reason: it may quote what it was sent.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The API server refused.
    #[error(
        "{object}: {doing} refused with {code} {reason}; expected it to be done, check the API server and the role's verbs on secrets and configmaps in this namespace"
    )]
    Refused {
        /// The object.
        object: String,
        /// What was tried.
        doing: &'static str,
        /// The HTTP status.
        code: u16,
        /// The reason in one word, such as `Forbidden`.
        reason: String,
    },
    /// The API server could not be reached or understood.
    #[error("{object}: {doing} failed: {reason}; check the API server")]
    Unreachable {
        /// The object.
        object: String,
        /// What was tried.
        doing: &'static str,
        /// What kind of failure.
        reason: &'static str,
    },
    /// The API server did not answer.
    #[error(
        "{object}: no answer to {doing}, expected one within {bound:?}; check the API server's load"
    )]
    Slow {
        /// The object.
        object: String,
        /// What was tried.
        doing: &'static str,
        /// How long one request may take.
        bound: Duration,
    },
    /// Something writes and empties the Secret all the time.
    #[error(
        "{object}: lost {attempts} races in a row and still found no data; find out what else writes it"
    )]
    Contended {
        /// The object.
        object: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// What was to be made public is not.
    #[error(
        "{object}: found a private key in the bundle, expected certificates alone; nothing was written"
    )]
    PrivateKey {
        /// The object.
        object: String,
    },
}

impl AuthorityError {
    pub(super) fn of(object: String, doing: &'static str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                object,
                doing,
                code: status.code,
                reason: status.reason,
            },
            other => Self::Unreachable {
                object,
                doing,
                reason: reason(&other),
            },
        }
    }

    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }
}

/// What went wrong while an authority was loaded or made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E: std::error::Error + 'static> {
    /// The Secret could not be read or written.
    #[error(transparent)]
    Keeper(#[from] AuthorityError),
    /// The Secret holds something else.
    #[error(
        "{object}: found data that are no certificate authority ({source}); it is left as it is, restore it, or delete it to have a new one made"
    )]
    NotUnderstood {
        /// The object.
        object: String,
        /// Why it was refused.
        source: E,
    },
    /// No new authority could be made.
    #[error("{object}: no certificate authority could be made ({source})")]
    NotMade {
        /// The object.
        object: String,
        /// Why not.
        source: E,
    },
}

fn reason(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(_) => "the API server refused",
        kube::Error::SerdeError(_) => "the answer is not the object asked for",
        kube::Error::Auth(_) => "the operator's own credentials are not usable",
        _ => "the API server could not be reached",
    }
}

pub(super) fn reason_of_watch(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => reason(error),
        watcher::Error::WatchError(_) => "the API server ended the watch",
        watcher::Error::NoResourceVersion => "the answer has no resource version",
    }
}
