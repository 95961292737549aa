//! Tasks of peers that nobody vouches for yet: many at a time, not any number.

use std::collections::VecDeque;
use std::future::Future;

use tokio::task::{AbortHandle, JoinSet};

/// Where there are too many, the oldest is ended. A peer that means well is done
/// in milliseconds, so that peers that hold on to connections crowd out each
/// other, not it. All are ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Crowd {
    tasks: JoinSet<()>,
    oldest_first: VecDeque<AbortHandle>,
    limit: usize,
}

impl Crowd {
    pub(crate) fn of(limit: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            oldest_first: VecDeque::new(),
            limit,
        }
    }

    pub(crate) fn add(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.oldest_first.retain(|task| !task.is_finished());
        if self.oldest_first.len() >= self.limit
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            tracing::debug!(limit = self.limit, "too many peers: the oldest is cut off");
            oldest.abort();
        }
        self.oldest_first.push_back(self.tasks.spawn(task));
    }

    /// Waits until all are done.
    pub(crate) async fn finished(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
