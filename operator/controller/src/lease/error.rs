//! Why a replica cannot contend, or did not get an answer.

use std::time::Duration;

/// What went wrong around the Lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// An empty holder is a released Lease: everyone could take it.
    #[error(
        "{object}: the identity to hold it by is empty, expected one of this process alone; set POD_NAME from metadata.name"
    )]
    NoIdentity {
        /// The Lease.
        object: String,
    },
    /// The API server refused, or could not be reached.
    #[error(
        "{object}: {doing} failed: {source}; expected an answer of coordination.k8s.io/v1, check the API server and the role's verbs get, create and update on leases"
    )]
    Api {
        /// The Lease.
        object: String,
        /// What was tried.
        doing: &'static str,
        /// What came instead of an answer.
        source: Box<kube::Error>,
    },
    /// The API server did not answer.
    #[error("{object}: no answer, expected one within {bound:?}; check the API server's load")]
    Slow {
        /// The Lease.
        object: String,
        /// How long one request may take.
        bound: Duration,
    },
}
