//! Events to reasons: which files are whole, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::Event;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use tokio::time::Instant;

use crate::folder::{is_hidden, is_manifest};

/// No event for this long: the change is whole.
const QUIET: Duration = Duration::from_millis(10);

/// The longest that one change waits for another.
const LONGEST: Duration = Duration::from_millis(50);

/// A file that was written to but not closed for this long is read as it is.
const ABANDONED: Duration = Duration::from_secs(1);

/// A reason to look at the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stir {
    /// Paths to read whatever their time stamps say.
    pub(crate) named: BTreeSet<PathBuf>,
    /// Paths that something is writing to: not to be read yet.
    pub(crate) writing: BTreeSet<PathBuf>,
    /// The first event of it; absent where it is only time to look.
    pub(crate) since: Option<Instant>,
}

/// Turns events into reasons, by time that is passed in.
#[derive(Debug)]
pub(super) struct Settling {
    root: PathBuf,
    touched: BTreeSet<PathBuf>,
    /// Files with a write that no close has followed yet, and when it was.
    writing: BTreeMap<PathBuf, Instant>,
    /// Files that went away and may be about to come back: some editors move the
    /// old file aside before they write the new one.
    vanished: BTreeSet<PathBuf>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Settling {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            touched: BTreeSet::new(),
            writing: BTreeMap::new(),
            vanished: BTreeSet::new(),
            first: None,
            last: None,
        }
    }

    pub(super) fn take(&mut self, event: &Event, now: Instant) {
        if event.need_rescan() {
            self.writing.clear();
            self.touch(self.root.clone(), now);
        }
        for path in &event.paths {
            if self.is_aside(path) {
                continue;
            }
            if is_manifest(path) {
                self.take_manifest(path, event.kind, now);
            } else if !matches!(
                event.kind,
                EventKind::Access(_)
                    | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_))
            ) {
                // A folder, perhaps, with manifests in it.
                self.touch(path.clone(), now);
            }
        }
    }

    fn take_manifest(&mut self, path: &Path, kind: EventKind, now: Instant) {
        const CLOSES_ARE_TOLD: bool = cfg!(any(target_os = "linux", target_os = "android"));
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.writing.remove(path);
                self.vanished.remove(path);
            }
            // Both halves of a rename are told apart as well.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return,
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) if CLOSES_ARE_TOLD => {
                self.writing.insert(path.to_owned(), now);
                self.vanished.remove(path);
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                self.writing.remove(path);
                self.vanished.insert(path.to_owned());
            }
            EventKind::Modify(ModifyKind::Metadata(_)) => {}
            _ => {
                self.writing.remove(path);
                self.vanished.remove(path);
            }
        }
        self.touch(path.to_owned(), now);
    }

    /// Below a hidden folder, or hidden itself. Names such as `..data` count: a
    /// mounted ConfigMap changes by renaming that.
    fn is_aside(&self, path: &Path) -> bool {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .iter()
            .any(|name| is_hidden(name) && !name.as_encoded_bytes().starts_with(b".."))
    }

    fn touch(&mut self, path: PathBuf, now: Instant) {
        self.touched.insert(path);
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When to look, if nothing more happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let abandoned = self.writing.values().min().map(|at| *at + ABANDONED);
        let settled = match (self.first, self.last) {
            (Some(first), Some(last)) => {
                let unfinished =
                    |path| self.writing.contains_key(path) || self.vanished.contains(path);
                if self.touched.iter().any(unfinished) {
                    Some(first + LONGEST)
                } else {
                    Some((last + QUIET).min(first + LONGEST))
                }
            }
            _ => None,
        };
        [abandoned, settled].into_iter().flatten().min()
    }

    pub(super) fn stir(&mut self, now: Instant) -> Stir {
        let abandoned: Vec<PathBuf> = self
            .writing
            .iter()
            .filter(|(_, at)| now >= **at + ABANDONED)
            .map(|(path, _)| path.clone())
            .collect();
        for path in abandoned {
            self.writing.remove(&path);
            self.touched.insert(path);
        }
        let since = self.first.take();
        self.last = None;
        self.vanished.clear();
        let writing: BTreeSet<PathBuf> = self.writing.keys().cloned().collect();
        let named = std::mem::take(&mut self.touched)
            .difference(&writing)
            .cloned()
            .collect();
        Stir {
            named,
            writing,
            since,
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange};

    use super::*;

    const FILE: &str = "/folder/a.yaml";

    fn settling() -> (Settling, Instant) {
        (Settling::new("/folder".into()), Instant::now())
    }

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    fn write(path: &str) -> Event {
        event(EventKind::Modify(ModifyKind::Data(DataChange::Any)), path)
    }

    fn close(path: &str) -> Event {
        let kind = EventKind::Access(AccessKind::Close(AccessMode::Write));
        event(kind, path)
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_closed_file_is_read_once_it_is_quiet() {
        let (mut settling, start) = settling();
        settling.take(&write(FILE), start);
        settling.take(&write(FILE), start + ms(1));
        settling.take(&close(FILE), start + ms(2));
        assert_eq!(settling.due(), Some(start + ms(2) + QUIET));
        let stir = settling.stir(start + ms(12));
        assert!(stir.named.contains(Path::new(FILE)) && stir.writing.is_empty());
        assert_eq!(settling.due(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_being_written_is_left_until_it_is_closed_or_abandoned() {
        let (mut settling, start) = settling();
        settling.take(&write(FILE), start);
        assert_eq!(settling.due(), Some(start + LONGEST));
        let stir = settling.stir(start + LONGEST);
        assert!(stir.named.is_empty() && stir.writing.contains(Path::new(FILE)));
        assert_eq!(settling.due(), Some(start + ABANDONED));
        settling.take(&close(FILE), start + ms(200));
        let stir = settling.stir(start + ms(210));
        assert!(stir.named.contains(Path::new(FILE)) && stir.writing.is_empty());

        settling.take(&write(FILE), start + ms(300));
        settling.stir(start + ms(350));
        let stir = settling.stir(start + ms(300) + ABANDONED);
        assert!(stir.named.contains(Path::new(FILE)) && stir.writing.is_empty());
    }

    #[test]
    fn a_stream_of_changes_waits_no_longer_than_the_bound() {
        let (mut settling, start) = settling();
        for step in 0..20 {
            settling.take(&close(FILE), start + ms(step * 5));
        }
        assert_eq!(settling.due(), Some(start + LONGEST));
    }

    #[test]
    fn a_rename_over_is_one_change() {
        let (mut settling, start) = settling();
        let rename = |mode| EventKind::Modify(ModifyKind::Name(mode));
        settling.take(
            &event(EventKind::Create(CreateKind::File), "/folder/a.yaml~"),
            start,
        );
        settling.take(&event(rename(RenameMode::To), FILE), start + ms(1));
        assert_eq!(settling.due(), Some(start + ms(1) + QUIET));
        assert!(
            settling
                .stir(start + ms(11))
                .named
                .contains(Path::new(FILE))
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_moved_aside_is_given_the_time_to_come_back() {
        let (mut settling, start) = settling();
        let rename = |mode| EventKind::Modify(ModifyKind::Name(mode));
        settling.take(&event(rename(RenameMode::From), FILE), start);
        settling.take(&event(rename(RenameMode::To), "/folder/a.yaml~"), start);
        assert_eq!(settling.due(), Some(start + LONGEST));
        settling.take(
            &event(EventKind::Create(CreateKind::File), FILE),
            start + ms(20),
        );
        assert_eq!(settling.due(), Some(start + LONGEST));
        settling.take(&close(FILE), start + ms(21));
        assert_eq!(settling.due(), Some(start + ms(21) + QUIET));
    }

    #[test]
    fn own_reads_hidden_files_and_other_files_stir_nothing() {
        let (mut settling, start) = settling();
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        settling.take(&event(open, FILE), start);
        settling.take(&write("/folder/.git/index"), start);
        settling.take(&write("/folder/.a.yaml.swp"), start);
        settling.take(&close("/folder/server.log"), start);
        assert_eq!(settling.due(), None);
        let name = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        settling.take(&event(name, "/folder/..data"), start);
        assert!(settling.due().is_some(), "a mounted ConfigMap changed");
    }
}
