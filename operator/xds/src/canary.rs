//! Shapes that no gateway has accepted yet go to one gateway first.
//!
//! A shape is the set of features that a resource uses. The first gateway to be
//! sent one of a new shape is its canary; others wait for its ACK, and at most
//! a while: a canary that never answers delays, it does not stop.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use sluice_envoy::Kind;

use crate::StreamId;

/// What a stream may do with a resource of some shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Send it.
    Go,
    /// Another stream tries it; look again then.
    Wait(Instant),
}

#[derive(Debug, Default)]
pub(crate) struct Canaries {
    proven: HashSet<(Kind, u64)>,
    trials: HashMap<(Kind, u64), Trial>,
    /// Streams that let a trial run out: they are not asked again before they
    /// acknowledge something.
    tardy: HashSet<StreamId>,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    stream: StreamId,
    until: Instant,
}

impl Canaries {
    /// Whether only one stream may have it at first. Endpoints and secrets are
    /// not tried out: Envoy takes the good neighbours of a bad one, and both
    /// are waited for by live requests.
    fn concerns(kind: Kind) -> bool {
        !matches!(kind, Kind::Endpoints | Kind::Secret)
    }

    /// Asks to send; makes the stream the canary if there is none.
    pub(crate) fn ask(
        &mut self,
        kind: Kind,
        shape: u64,
        stream: StreamId,
        now: Instant,
        wait: Duration,
    ) -> Leave {
        let shape = (kind, shape);
        if !Self::concerns(kind) || self.proven.contains(&shape) {
            return Leave::Go;
        }
        match self.trials.get(&shape) {
            Some(trial) if trial.stream == stream => Leave::Go,
            Some(trial) if now < trial.until => Leave::Wait(trial.until),
            Some(trial) => {
                self.tardy.insert(trial.stream);
                Leave::Go
            }
            None => {
                if !self.tardy.contains(&stream) {
                    let until = now + wait;
                    self.trials.insert(shape, Trial { stream, until });
                }
                Leave::Go
            }
        }
    }

    /// A gateway accepted a resource of this shape. `true` if others may have
    /// waited for it.
    pub(crate) fn accepted(&mut self, kind: Kind, shape: u64, stream: StreamId) -> bool {
        self.tardy.remove(&stream);
        Self::concerns(kind)
            && self.proven.insert((kind, shape))
            && self.trials.remove(&(kind, shape)).is_some()
    }

    /// A resource of this shape was refused alone: the next one is a new trial.
    pub(crate) fn refused(&mut self, kind: Kind, shape: u64) {
        self.trials.remove(&(kind, shape));
    }

    /// The stream ended. `true` if others may have waited for it.
    pub(crate) fn ended(&mut self, stream: StreamId) -> bool {
        self.tardy.remove(&stream);
        let before = self.trials.len();
        self.trials.retain(|_, trial| trial.stream != stream);
        before != self.trials.len()
    }
}
