//! Who vouches for a gateway that asks for a certificate.

use std::future::Future;
use std::pin::Pin;

use crate::name::GatewayName;

/// A future that is sent between threads; the same type as in `futures`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Knows which gateway a token was made for. In the operator, the API server
/// does, by way of the room `controller`.
pub trait Reviewer: Send + Sync + 'static {
    /// The gateway that `token` was made for.
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<GatewayName, ReviewError>>;
}

/// Why a token names no gateway. The reasons go to the gateway: one line each,
/// and never the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The token is not good.
    #[error("{reason}")]
    Refused {
        /// What is wrong with it, and what to do about that.
        reason: String,
    },
    /// Nobody could say; another try may do better.
    #[error("{reason}")]
    Unavailable {
        /// Who gave no answer, and why.
        reason: String,
    },
}
