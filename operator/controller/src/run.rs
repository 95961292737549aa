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
use crate::inspect::Questions;
use crate::report::{Confirm, Reporter};
use crate::watch;

#[cfg(test)]
mod tests;

/// What a controller is connected to beside the API server.
#[must_use]
pub struct Wires<P> {
    /// Who carries plans to gateways.
    pub gateways: Arc<dyn Gateways>,
    /// Whether this replica writes statuses.
    pub leader: watched::Receiver<bool>,
    /// Who asks gateways whether they serve what they should.
    pub prober: P,
    /// What is told to probes and to those who measure.
    pub health: Arc<Health>,
    /// What somebody wants to know.
    pub questions: Questions,
}

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
    wires: Wires<impl Confirm>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ControllerError> {
    let Wires {
        gateways,
        leader,
        prober,
        health,
        questions,
    } = wires;
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
        &options.system_namespace,
        world,
        gateways,
        reports,
        health,
    );
    // Dropped with this function, which ends all of them.
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        control.run(taken, questions.0).await;
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
