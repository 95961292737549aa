//! An Envoy that is started again whenever it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::admin::Admin;
use crate::backoff::Backoff;
use crate::envoy::{Envoy, Exit};
use crate::error::GatewayError;
use crate::failure::BindFailure;
use crate::options::EnvoyOptions;

/// What happened to a supervised Envoy.
#[derive(Clone, Debug)]
pub enum Event {
    /// It runs.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// It ended without being told to.
    Exited {
        /// The process id it had.
        pid: u32,
        /// How, and its last words.
        exit: Exit,
    },
    /// It could not be started again.
    StartFailed {
        /// Why.
        error: Arc<GatewayError>,
    },
    /// It will be started again. This goes on for as long as it takes.
    Restarting {
        /// After this wait.
        after: Duration,
        /// Ends and failed starts in a row, this one included.
        failures: u32,
    },
    /// It runs, but has no such listener.
    BindFailed {
        /// Which listener, which address, why.
        failure: BindFailure,
    },
    /// It was told to end, and has. The last event.
    Stopped {
        /// How; `None` if it was not running just then.
        exit: Option<Exit>,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { pid } => write!(f, "envoy runs (process {pid})"),
            Self::Exited { pid, exit } => {
                write!(f, "envoy (process {pid}) ended by itself: {exit}")
            }
            Self::StartFailed { error } => write!(f, "{error}"),
            Self::Restarting { after, failures } => {
                let seconds = after.as_secs_f64();
                match failures {
                    1 => write!(f, "envoy is started again in {seconds:.1} s"),
                    _ => write!(
                        f,
                        "envoy failed {failures} times in a row; it is started again in {seconds:.1} s, and so on until it stays"
                    ),
                }
            }
            Self::BindFailed { failure } => write!(f, "{failure}"),
            Self::Stopped { exit: Some(exit) } => {
                write!(f, "envoy was ended ({})", exit.status_text())
            }
            Self::Stopped { exit: None } => f.write_str("envoy was not running and stays so"),
        }
    }
}

/// A supervised Envoy. Dropping it kills Envoy.
#[derive(Debug)]
pub struct Supervised {
    admin: Admin,
    stop: Option<oneshot::Sender<Duration>>,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Starts Envoy and keeps it running. The first start is the caller's: what
    /// is wrong from the beginning (a port in use, a bad bootstrap) is an error
    /// here, not an endless loop. Later failures are events.
    ///
    /// Events wait in the channel until they are taken; there are few. A dropped
    /// receiver stops nothing.
    ///
    /// # Errors
    /// As [`Envoy::start`].
    pub async fn start(
        options: EnvoyOptions,
        backoff: Backoff,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>), GatewayError> {
        let envoy = Envoy::start(options.clone()).await?;
        let (events, received) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let admin = envoy.admin().clone();
        let keeper = Keeper {
            options,
            backoff,
            events,
        };
        let task = tokio::spawn(keeper.keep_running(envoy, stopped));
        let supervised = Self {
            admin,
            stop: Some(stop),
            task,
        };
        Ok((supervised, received))
    }

    /// The admin interface of whichever Envoy runs at the time.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Ends Envoy as [`Envoy::stop`] does, and the supervision with it. Dropping
    /// the returned future before it is done kills Envoy at once.
    pub async fn stop(mut self, drain: Duration) {
        if let Some(stop) = self.stop.take() {
            // Fails only if the task has ended, which is what is wanted.
            let _ = stop.send(drain);
        }
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "the supervision of envoy broke off");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    options: EnvoyOptions,
    backoff: Backoff,
    events: mpsc::UnboundedSender<Event>,
}

impl Keeper {
    async fn keep_running(self, mut envoy: Envoy, mut stop: oneshot::Receiver<Duration>) {
        let mut failures = 0;
        loop {
            let started = Instant::now();
            self.tell(Event::Started { pid: envoy.pid() });
            let exit = tokio::select! {
                exit = self.watch(&mut envoy) => exit,
                // An error means that `Supervised` was dropped; then Envoy goes
                // with this task.
                drain = &mut stop => {
                    let exit = Some(envoy.stop(drain.unwrap_or_default()).await);
                    return self.tell(Event::Stopped { exit });
                }
            };
            self.tell(Event::Exited {
                pid: envoy.pid(),
                exit,
            });
            if started.elapsed() >= self.backoff.calm {
                failures = 0;
            }
            envoy = tokio::select! {
                envoy = self.start_again(&mut failures) => envoy,
                _ = &mut stop => return self.tell(Event::Stopped { exit: None }),
            };
        }
    }

    /// Waits for the end, and passes on what listeners could not be opened.
    async fn watch(&self, envoy: &mut Envoy) -> Exit {
        let mut failures = envoy.bind_failures();
        loop {
            tokio::select! {
                exit = envoy.exited() => return exit,
                Ok(()) = failures.changed() => {
                    let failure = failures.borrow_and_update().clone();
                    if let Some(failure) = failure {
                        self.tell(Event::BindFailed { failure });
                    }
                }
            }
        }
    }

    async fn start_again(&self, failures: &mut u32) -> Envoy {
        loop {
            *failures = failures.saturating_add(1);
            let after = self.backoff.delay(*failures);
            self.tell(Event::Restarting {
                after,
                failures: *failures,
            });
            sleep(after).await;
            match Envoy::start(self.options.clone()).await {
                Ok(envoy) => return envoy,
                Err(error) => self.tell(Event::StartFailed {
                    error: Arc::new(error),
                }),
            }
        }
    }

    fn tell(&self, event: Event) {
        match &event {
            Event::Started { .. } | Event::Stopped { .. } => {
                tracing::debug!(%event, "envoy supervision");
            }
            _ => tracing::warn!(%event, "envoy supervision"),
        }
        // Nobody has to listen.
        let _ = self.events.send(event);
    }
}
