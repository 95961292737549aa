//! The tasks of the controller, started and kept together.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use sluice_translate::World;
use tokio::sync::{mpsc, watch as watched};
use tokio::task::JoinSet;

use crate::config::Options;
use crate::control::{Control, INPUTS};
use crate::error::ControllerError;
use crate::gateways::Gateways;
use crate::health::Health;
use crate::report::{Confirm, Reporter};
use crate::watch;

#[cfg(test)]
mod tests;

/// Watches, publishes, probes and reports until `shutdown` resolves. Statuses and
/// events are written only while `leader` says so; all else every replica does.
///
/// # Errors
/// [`ControllerError`] for options that make no sense, and for a task of its own
/// that broke off. What the API server refuses is waited for, and named by
/// [`Health::ready`].
pub async fn run(
    client: Client,
    options: Options,
    gateways: Arc<dyn Gateways>,
    leader: watched::Receiver<bool>,
    prober: impl Confirm,
    health: Arc<Health>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ControllerError> {
    let world = World::new(options.translation()?, Timestamp::now());
    let (inputs, taken) = mpsc::channel(INPUTS);
    let (reports, told) = mpsc::unbounded_channel();
    let fleet = gateways.fleet();

    let mut watches = watch::start(&client, &options, &inputs, &health);
    drop(inputs);
    let reporter = Reporter::new(client, &options, prober, Arc::clone(&health));
    let control = Control::new(
        options.class,
        &options.namespace,
        world,
        gateways,
        reports,
        health,
    );
    // Dropped with this function, which ends all of them.
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        control.run(taken).await;
        "the loop"
    });
    tasks.spawn(async move {
        reporter.run(told, fleet, leader).await;
        "the reporter"
    });
    let part = tokio::select! {
        () = shutdown => return Ok(()),
        _ = watches.join_next() => "a watch",
        ended = tasks.join_next() => match ended {
            Some(Ok(part)) => part,
            _ => "the loop or the reporter",
        },
    };
    Err(ControllerError::BrokeOff { part })
}
