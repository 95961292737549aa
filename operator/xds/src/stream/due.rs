//! What a stream is yet to be sent, or to acknowledge, for one type.
//!
//! A set of names, not a queue of versions: however often a resource changes
//! while its gateway is slow, it is due once, with its newest content.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names due, by name and by age.
#[derive(Debug, Default)]
pub(super) struct Due {
    items: BTreeMap<Arc<str>, Item>,
    ready: BTreeSet<Arc<str>>,
    by_since: BTreeSet<(u64, Arc<str>)>,
    adds: BTreeSet<(u64, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    place: Place,
    mark: Mark,
    /// Changed again after it was sent.
    again: Option<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// May be sent as soon as the rules let it.
    Ready,
    /// In the response that is outstanding.
    Flight,
    /// Was in a refused response; waits for its group's turn.
    Suspect,
}

/// Why a name is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The revision since which it is due.
    pub(super) since: u64,
    /// The gateway holds nothing under this name.
    pub(super) add: bool,
    /// It must be answered even if the gateway's version is the newest: the
    /// gateway asked again, or what it holds is uncertain after a refusal.
    pub(super) force: bool,
}

impl Due {
    /// Makes a name due, or keeps it due from the earlier revision.
    pub(super) fn mark(&mut self, name: &Arc<str>, mark: Mark) {
        let Some(item) = self.items.get_mut(name) else {
            self.insert(name.clone(), mark);
            return;
        };
        if item.place == Place::Flight {
            let again = item.again.get_or_insert(mark);
            again.since = again.since.min(mark.since);
            again.force |= mark.force;
            return;
        }
        item.mark.force |= mark.force;
        let old = item.mark.since;
        if mark.since < old {
            item.mark.since = mark.since;
            self.by_since.remove(&(old, name.clone()));
            self.by_since.insert((mark.since, name.clone()));
            if self.adds.remove(&(old, name.clone())) {
                self.adds.insert((mark.since, name.clone()));
            }
        }
    }

    fn insert(&mut self, name: Arc<str>, mark: Mark) {
        self.by_since.insert((mark.since, name.clone()));
        if mark.add {
            self.adds.insert((mark.since, name.clone()));
        }
        self.ready.insert(name.clone());
        let item = Item {
            place: Place::Ready,
            mark,
            again: None,
        };
        self.items.insert(name, item);
    }

    /// Nothing is to be done for it any more.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some((name, item)) = self.items.remove_entry(name) {
            self.ready.remove(&name);
            self.by_since.remove(&(item.mark.since, name.clone()));
            self.adds.remove(&(item.mark.since, name));
        }
    }

    /// It is in the response that goes out.
    pub(super) fn sent(&mut self, name: &str) {
        if let Some(item) = self.items.get_mut(name) {
            item.place = Place::Flight;
            item.again = None;
            self.ready.remove(name);
        }
    }

    /// The response was acknowledged.
    pub(super) fn acked(&mut self, name: &Arc<str>) {
        let Some(item) = self.items.get(name) else {
            return;
        };
        if item.place != Place::Flight {
            return;
        }
        let again = item.again;
        self.remove(name);
        if let Some(mark) = again {
            self.insert(name.clone(), Mark { add: false, ..mark });
        }
    }

    /// The response was refused; the name is sent again with its group.
    pub(super) fn suspect(&mut self, name: &str) {
        if let Some(item) = self.items.get_mut(name)
            && item.place == Place::Flight
        {
            item.place = Place::Suspect;
            item.mark.force = true;
        }
    }

    /// It leaves its group: an ordinary name, to be looked at again.
    pub(super) fn retry(&mut self, name: &Arc<str>) {
        if let Some(item) = self.items.get_mut(name) {
            item.place = Place::Ready;
            item.mark.force = true;
            self.ready.insert(name.clone());
        }
    }

    /// Why it is due, if it is.
    pub(super) fn get(&self, name: &str) -> Option<Mark> {
        self.items.get(name).map(|item| item.mark)
    }

    /// Whether a response that is out, or was refused, may have changed what
    /// the gateway holds.
    pub(super) fn is_uncertain(&self, name: &str) -> bool {
        self.items
            .get(name)
            .is_some_and(|item| item.place != Place::Ready || item.mark.force)
    }

    /// The first name after this one that may be sent.
    pub(super) fn next_ready(&self, after: Option<&Arc<str>>) -> Option<Arc<str>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        self.ready
            .range::<Arc<str>, _>((start, Unbounded))
            .next()
            .cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The revision since which the oldest one is due.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.by_since.first().map(|(since, _)| *since)
    }

    /// The same among names of which the gateway holds nothing.
    pub(super) fn oldest_add(&self) -> Option<u64> {
        self.adds.first().map(|(since, _)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(since: u64) -> Mark {
        Mark {
            since,
            add: true,
            force: false,
        }
    }

    #[test]
    fn a_change_in_flight_is_due_again_after_the_ack() {
        let mut due = Due::default();
        let name: Arc<str> = Arc::from("a");
        due.mark(&name, mark(3));
        due.mark(&name, mark(5));
        assert_eq!(due.oldest(), Some(3));
        due.sent(&name);
        due.mark(&name, mark(7));
        assert_eq!(due.next_ready(None), None);
        assert_eq!(due.oldest_add(), Some(3));
        due.acked(&name);
        assert_eq!(due.oldest(), Some(7));
        assert_eq!(due.oldest_add(), None);
        assert_eq!(due.next_ready(None), Some(name.clone()));
        due.sent(&name);
        due.acked(&name);
        assert!(due.is_empty());
        assert_eq!(due.oldest(), None);
    }

    #[test]
    fn a_suspect_waits_for_its_group() {
        let mut due = Due::default();
        let name: Arc<str> = Arc::from("a");
        due.mark(&name, mark(3));
        due.sent(&name);
        due.suspect(&name);
        due.mark(&name, mark(9));
        assert_eq!(due.next_ready(None), None);
        assert_eq!(due.oldest(), Some(3));
        assert!(due.is_uncertain(&name));
        due.retry(&name);
        assert_eq!(due.next_ready(None), Some(name));
    }
}
