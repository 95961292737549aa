//! When to look at the folder again.
//!
//! A file is looked at once nothing more is being written to it: closed, renamed
//! into place, or quiet. What editors do (truncate and write, write beside and
//! rename over) then shows as one change, not as a moment without the file.

mod settling;

use std::path::PathBuf;
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use self::settling::{Settling, Stir};

/// How often a folder is looked at that cannot be watched.
const POLL_UNWATCHED: Duration = Duration::from_millis(250);

/// How often a folder is looked at that has links in it: no watch sees what
/// changes behind a link.
const POLL_LINKED: Duration = Duration::from_secs(1);

/// Watches one folder, by the system's events where it has them, else by looking
/// at it again and again.
pub(crate) struct Watch {
    root: PathBuf,
    watcher: Option<RecommendedWatcher>,
    /// Kept for the next watcher, if this one fails.
    sender: mpsc::UnboundedSender<notify::Result<Event>>,
    events: mpsc::UnboundedReceiver<notify::Result<Event>>,
    settling: Settling,
    /// When the folder was last looked at.
    looked: Instant,
}

impl Watch {
    /// Begins to watch a folder. Gives the reason, too, if that needs polling.
    pub(crate) fn new(root: PathBuf) -> (Self, Option<notify::Error>) {
        let (sender, events) = mpsc::unbounded_channel();
        let mut watch = Self {
            settling: Settling::new(root.clone()),
            root,
            watcher: None,
            sender,
            events,
            looked: Instant::now(),
        };
        let error = watch.start().err();
        (watch, error)
    }

    fn start(&mut self) -> notify::Result<()> {
        let sender = self.sender.clone();
        let mut watcher = notify::recommended_watcher(move |event| {
            // Nobody listens any more: the pipeline has ended.
            let _ = sender.send(event);
        })?;
        watcher.watch(&self.root, RecursiveMode::Recursive)?;
        self.watcher = Some(watcher);
        Ok(())
    }

    /// Waits until there is a reason to look at the folder again. `linked`: some
    /// file is reached over a link. Dropped half way, it loses nothing.
    pub(crate) async fn next(&mut self, linked: bool) -> Stir {
        self.reason(linked).await;
        self.looked = Instant::now();
        self.settling.stir(self.looked)
    }

    async fn reason(&mut self, linked: bool) {
        let poll = match (&self.watcher, linked) {
            (None, _) => Some(self.looked + POLL_UNWATCHED),
            (Some(_), true) => Some(self.looked + POLL_LINKED),
            (Some(_), false) => None,
        };
        loop {
            let due = [poll, self.settling.due()].into_iter().flatten().min();
            let received = match due {
                Some(due) => timeout_at(due, self.events.recv()).await.ok(),
                None => Some(self.events.recv().await),
            };
            match received.flatten() {
                Some(Ok(event)) => {
                    self.settling.take(&event, Instant::now());
                    if event.kind.is_remove() && event.paths.contains(&self.root) {
                        self.watcher = None;
                        return;
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "watch lost; looking at the folder again and again");
                    self.watcher = None;
                    return;
                }
                None => {
                    if self.watcher.is_none() && self.root.is_dir() {
                        // Whatever happened in between is seen by the look that follows.
                        let _ = self.start();
                    }
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    async fn seen_within(watch: &mut Watch, limit: Duration) -> Option<Stir> {
        tokio::time::timeout(limit, watch.next(false)).await.ok()
    }

    #[tokio::test]
    async fn a_written_file_is_named_by_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (mut watch, error) = Watch::new(root.clone());
        assert!(error.is_none(), "{error:?}");
        std::fs::write(root.join("a.yaml"), "a: 1\n").unwrap();
        let stir = seen_within(&mut watch, ms(10_000)).await.unwrap();
        assert!(stir.named.contains(&root.join("a.yaml")), "{stir:?}");
        assert!(stir.since.is_some());
        assert!(
            seen_within(&mut watch, ms(100)).await.is_none(),
            "one write is one reason"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_watched_is_looked_at_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("not-there-yet");
        let (mut watch, error) = Watch::new(root.clone());
        assert!(error.is_some());
        let stir = seen_within(&mut watch, ms(10_000)).await.unwrap();
        assert_eq!(stir, Stir::default());
        std::fs::create_dir(&root).unwrap();
        seen_within(&mut watch, ms(10_000)).await.unwrap();
        assert!(watch.watcher.is_some(), "watched as soon as it is there");
    }

    #[tokio::test]
    async fn a_folder_that_is_replaced_is_watched_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("manifests");
        std::fs::create_dir(&root).unwrap();
        let (mut watch, _) = Watch::new(root.clone());
        std::fs::remove_dir(&root).unwrap();
        seen_within(&mut watch, ms(10_000)).await.unwrap();
        std::fs::create_dir(&root).unwrap();
        while watch.watcher.is_none() {
            seen_within(&mut watch, ms(10_000)).await.unwrap();
        }
        std::fs::write(root.join("a.yaml"), "a: 1\n").unwrap();
        loop {
            let stir = seen_within(&mut watch, ms(10_000)).await.unwrap();
            if stir.named.contains(&root.join("a.yaml")) {
                break;
            }
        }
    }
}
