//! The certificate authority of this operator: found or made, followed, renewed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use sluice_controller::authority::{Data, Kept, Replaced, SecretKeeper};
use sluice_controller::review::TokenReviewer;
use sluice_identity::{
    Authority, BoxFuture, GatewayName, IdentityError, ReviewError, Reviewer, Trust,
};
use tokio::sync::watch;
use tokio::time::sleep;

/// How often the age of certificates is looked at.
const LOOK: Duration = Duration::from_secs(60);
/// Between two tries to have an authority.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What this replica serves TLS with, and who keeps it fresh.
pub(super) struct Established {
    pub(super) current: watch::Receiver<Arc<Trust>>,
    pub(super) keeper: Keeping,
}

/// All that [`keep`] goes on with.
pub(super) struct Keeping {
    secret: SecretKeeper,
    names: Vec<String>,
    kept: Kept,
    trust: watch::Sender<Arc<Trust>>,
}

/// Finds the authority or makes one, for as long as that takes, and publishes
/// what gateways are to trust.
pub(super) async fn establish(secret: SecretKeeper, names: Vec<String>) -> Established {
    let mut wait = FIRST_WAIT;
    loop {
        match try_establish(&secret, &names).await {
            Ok((trust, kept)) => {
                let (trust, current) = watch::channel(Arc::new(trust));
                let keeper = Keeping {
                    secret,
                    names,
                    kept,
                    trust,
                };
                return Established { current, keeper };
            }
            Err(error) => {
                tracing::warn!(
                    error = %format!("{error:#}"),
                    "there is no certificate authority yet; trying again in {wait:?}"
                );
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn try_establish(secret: &SecretKeeper, names: &[String]) -> anyhow::Result<(Trust, Kept)> {
    let make = || Authority::generate(Timestamp::now()).map(|authority| authority.to_data());
    let (authority, kept) = secret.load_or_create(parse, make).await?;
    secret.publish_bundle(authority.bundle_pem()).await?;
    Ok((Trust::new(authority, names, Timestamp::now())?, kept))
}

fn parse(data: &Data) -> Result<Authority, IdentityError> {
    Authority::from_data(data)
}

/// Follows the authority as it is kept, renews this replica's certificate, and
/// as the leader rotates the authority before it grows old. Never ends.
pub(super) async fn keep(keeping: Keeping, leader: watch::Receiver<bool>) {
    let Keeping {
        secret,
        names,
        mut kept,
        trust,
    } = keeping;
    let mut changes = Box::pin(secret.watch());
    loop {
        let outcome = tokio::select! {
            Some(newer) = changes.next() => {
                kept = newer;
                follow(&secret, &names, &kept.data, &trust).await
            }
            () = sleep(LOOK) => {
                let now = Timestamp::now();
                let old = Arc::clone(&trust.borrow());
                if *leader.borrow() && old.authority().needs_rotation(now) {
                    rotate(&secret, old.authority(), &kept, now).await
                } else if now >= old.server().renew_at() {
                    follow(&secret, &names, &kept.data, &trust).await
                } else {
                    Ok(())
                }
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(
                error = %format!("{error:#}"),
                "the certificates stay as they are; trying again in {LOOK:?}"
            );
        }
    }
}

/// Takes over what is kept. What cannot be understood changes nothing.
async fn follow(
    secret: &SecretKeeper,
    names: &[String],
    data: &BTreeMap<String, Vec<u8>>,
    trust: &watch::Sender<Arc<Trust>>,
) -> anyhow::Result<()> {
    let authority = parse(data)?;
    let bundle = authority.bundle_pem().to_owned();
    trust.send_replace(Arc::new(Trust::new(authority, names, Timestamp::now())?));
    secret.publish_bundle(&bundle).await?;
    Ok(())
}

/// Writes the next authority; every replica, this one too, then sees it come.
async fn rotate(
    secret: &SecretKeeper,
    old: &Authority,
    kept: &Kept,
    now: Timestamp,
) -> anyhow::Result<()> {
    let next = old.rotated(now)?;
    // Its version by now: a label that somebody put there is no other authority.
    let is = secret.read().await?.filter(|is| is.data == kept.data);
    let Some(is) = is else {
        tracing::info!("another replica wrote the authority first");
        return Ok(());
    };
    match secret
        .replace(&next.to_data(), &is.resource_version)
        .await?
    {
        Replaced::Made(_) => tracing::info!("the certificate authority was rotated"),
        Replaced::Conflict => tracing::info!("another replica wrote the authority first"),
    }
    Ok(())
}

/// Asks the API server whose a token is.
pub(super) struct ByApiServer {
    tokens: TokenReviewer,
}

impl ByApiServer {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            tokens: TokenReviewer::new(client, namespace),
        }
    }
}

impl Reviewer for ByApiServer {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<GatewayName, ReviewError>> {
        Box::pin(async move {
            match self.tokens.review(token).await {
                Ok(pod) => Ok(GatewayName {
                    namespace: pod.namespace,
                    pod: pod.pod,
                }),
                Err(error) if error.is_transient() => Err(ReviewError::Unavailable {
                    reason: error.to_string(),
                }),
                Err(error) => Err(ReviewError::Refused {
                    reason: error.to_string(),
                }),
            }
        })
    }
}
