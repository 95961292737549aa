//! One stream of Envoy's: relayed, or answered from what is known.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use sluice_xds::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::fallback::Fallback;
use super::snoop::Snoop;
use super::upstream::{ASK_BOUND, Choice, Upstream};
use super::{IN_TRANSIT, Shared};

/// How long an Envoy that has just connected waits for an operator before it is
/// answered from what is known.
const OPERATOR_BOUND: Duration = Duration::from_secs(1);

type ToEnvoy = mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>;

/// A stream that Envoy has opened.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) choice: watch::Receiver<Choice>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) envoy: ToEnvoy,
}

impl Session {
    /// Runs until either side ends. Envoy connects again by itself, says what it
    /// holds, and is sent what differs.
    pub(crate) async fn run(mut self, requests: Streaming<DeltaDiscoveryRequest>) {
        let envoy = self.envoy.clone();
        let mut stopping = self.stopping.clone();
        let stopped = stopping.wait_for(|stopping| *stopping);
        let serve = self.serve(requests);
        tokio::pin!(stopped, serve);
        let why = match select(serve, stopped).await {
            Either::Left((why, _)) => why,
            Either::Right(_) => "the gateway is ending",
        };
        tracing::info!(why, "stream of envoy ended");
        // Envoy may be gone, which is an end as well.
        let _ = envoy.try_send(Err(Status::unavailable(why)));
    }

    async fn serve(&mut self, requests: Streaming<DeltaDiscoveryRequest>) -> &'static str {
        let opened = timeout(OPERATOR_BOUND, self.open()).await;
        if let Ok((upstream, sender, responses)) = opened {
            tracing::info!(operator = %upstream.address, leads = upstream.leads, "relaying");
            return self.relay(requests, upstream, sender, responses).await;
        }
        let known = self.shared.known().clone();
        if !known.is_empty() {
            tracing::warn!("no operator can be reached; serving the last known configuration");
            return self.fall_back(requests, known).await;
        }
        // Nothing to say, and nothing to lose by waiting: an Envoy without any
        // configuration stays unready.
        tracing::warn!("no operator can be reached, and nothing is known from before; waiting");
        let envoy = self.envoy.clone();
        let (upstream, sender, responses) = tokio::select! {
            opened = self.open() => opened,
            () = envoy.closed() => return "envoy closed it",
        };
        self.relay(requests, upstream, sender, responses).await
    }

    /// A stream to the replica that is chosen, as soon as there is one.
    async fn open(
        &mut self,
    ) -> (
        Arc<Upstream>,
        mpsc::Sender<DeltaDiscoveryRequest>,
        Streaming<DeltaDiscoveryResponse>,
    ) {
        loop {
            let chosen = self.choice.borrow_and_update().clone();
            if let Some(upstream) = chosen {
                let (sender, requests) = mpsc::channel(IN_TRANSIT);
                // A replica whose node is gone says nothing at all, and TCP by itself
                // waits for it for minutes.
                let opened = tokio::select! {
                    opened = timeout(ASK_BOUND, upstream.stream(ReceiverStream::new(requests))) => opened,
                    Ok(()) = self.choice.changed() => continue,
                };
                let error = match opened {
                    Ok(Ok((leads, responses))) => {
                        // It did when it was chosen: whoever leads now is to be looked for,
                        // and this one is better than none until then.
                        if upstream.leads && !leads {
                            self.shared.lost.notify_one();
                        }
                        return (upstream, sender, responses);
                    }
                    Ok(Err(status)) => status.message().to_owned(),
                    Err(_) => format!("no answer within {ASK_BOUND:?}"),
                };
                tracing::warn!(operator = %upstream.address, error, "cannot open a stream");
                self.shared.lost.notify_one();
            }
            if self.choice.changed().await.is_err() {
                // Whoever chooses is gone; so is this process, soon.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Passes on both ways. The two directions wait for nothing of each other: full
    /// windows on both sides must not hold each other up.
    async fn relay(
        &mut self,
        mut requests: Streaming<DeltaDiscoveryRequest>,
        upstream: Arc<Upstream>,
        operator: mpsc::Sender<DeltaDiscoveryRequest>,
        mut responses: Streaming<DeltaDiscoveryResponse>,
    ) -> &'static str {
        let snoop = std::sync::Mutex::new(Snoop::default());
        let snooping = || {
            snoop
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        let shared = &self.shared;
        let up = async {
            while let Ok(Some(mut request)) = requests.message().await {
                if let Some(node) = &mut request.node {
                    node.id.clone_from(&shared.node.id);
                    node.cluster.clone_from(&shared.node.cluster);
                }
                snooping().on_request(&mut request, &mut shared.known());
                shared.changed.notify_one();
                if operator.send(request).await.is_err() {
                    shared.lost.notify_one();
                    return "the operator ended it";
                }
            }
            "envoy closed it"
        };
        let envoy = &self.envoy;
        let down = async {
            loop {
                match responses.message().await {
                    Ok(Some(response)) => {
                        snooping().on_response(&response);
                        if envoy.send(Ok(response)).await.is_err() {
                            return "envoy closed it";
                        }
                    }
                    Ok(None) => break,
                    Err(status) => {
                        tracing::info!(operator = %upstream.address, reason = status.message(), "stream of the operator ended");
                        break;
                    }
                }
            }
            shared.lost.notify_one();
            "the operator ended it"
        };
        let choice = &mut self.choice;
        let chosen_anew = async {
            while choice.changed().await.is_ok() {
                let chosen = choice.borrow_and_update().clone();
                // While nothing better is known, a stream that runs is kept.
                if chosen.is_some_and(|chosen| chosen.address != upstream.address) {
                    return "another replica of the operator leads";
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            why = up => why,
            why = down => why,
            why = chosen_anew => why,
        }
    }

    /// Answers from what is known until an operator is there.
    async fn fall_back(
        &mut self,
        mut requests: Streaming<DeltaDiscoveryRequest>,
        known: super::LastKnown,
    ) -> &'static str {
        let mut fallback = Fallback::new(known);
        let envoy = self.envoy.clone();
        // Kept over the rounds: requests of Envoy's must not begin it anew each time.
        let open = self.open();
        tokio::pin!(open);
        loop {
            tokio::select! {
                request = requests.message() => {
                    let Ok(Some(request)) = request else {
                        return "envoy closed it";
                    };
                    for response in fallback.on_request(&request) {
                        if envoy.send(Ok(response)).await.is_err() {
                            return "envoy closed it";
                        }
                    }
                }
                _ = &mut open => return "an operator can be reached again",
            }
        }
    }
}
