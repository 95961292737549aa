//! Asking the gateways themselves.

use std::future::Future;

use crate::probe::{Prober, Target, Unconfirmed};

/// Whoever asks gateways whether they serve what they should. A trait, so that
/// what follows from an answer is tested without gateways.
pub trait Confirm: Send + Sync + 'static {
    /// Asks every target. Dropped where the answer is of no interest any more.
    ///
    /// # Errors
    /// [`Unconfirmed`] for the first target that does not serve it.
    fn confirm(&self, targets: Vec<Target>)
    -> impl Future<Output = Result<(), Unconfirmed>> + Send;
}

impl Confirm for Prober {
    async fn confirm(&self, targets: Vec<Target>) -> Result<(), Unconfirmed> {
        Prober::confirm(self, &targets).await
    }
}
