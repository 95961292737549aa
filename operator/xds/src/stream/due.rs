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
    /// In the response that is outstanding; a removal, or a resource.
    Flight { removal: bool },
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

impl Mark {
    /// Due for both reasons, since the earlier.
    fn join(&mut self, other: Mark) {
        self.since = self.since.min(other.since);
        self.force |= other.force;
    }
}

impl Item {
    /// The revision since which the gateway lacks it, or is about to.
    fn add_since(&self) -> Option<u64> {
        if self.mark.add {
            return Some(self.mark.since);
        }
        self.again
            .filter(|again| again.add)
            .map(|again| again.since)
    }
}

impl Due {
    /// Makes a name due, or keeps it due from the earlier revision.
    pub(super) fn mark(&mut self, name: &Arc<str>, mark: Mark) {
        if !self.items.contains_key(name) {
            self.insert(name, mark);
            return;
        }
        self.change(name, |item| match item.place {
            Place::Flight { removal } => {
                let again = item.again.get_or_insert(mark);
                again.join(mark);
                // What is being taken away must come anew.
                again.add = removal;
            }
            Place::Ready | Place::Suspect => item.mark.join(mark),
        });
    }

    fn insert(&mut self, name: &Arc<str>, mark: Mark) {
        let item = Item {
            place: Place::Ready,
            mark,
            again: None,
        };
        self.items.insert(name.clone(), item);
        self.index(name, item);
    }

    fn index(&mut self, name: &Arc<str>, item: Item) {
        self.by_since.insert((item.mark.since, name.clone()));
        if let Some(since) = item.add_since() {
            self.adds.insert((since, name.clone()));
        }
        if item.place == Place::Ready {
            self.ready.insert(name.clone());
        }
    }

    fn unindex(&mut self, name: &Arc<str>, item: Item) {
        self.by_since.remove(&(item.mark.since, name.clone()));
        if let Some(since) = item.add_since() {
            self.adds.remove(&(since, name.clone()));
        }
        self.ready.remove(name);
    }

    /// Changes an item, if there is one, and where it is found.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Item)) {
        if let Some((name, mut item)) = self.items.remove_entry(name) {
            self.unindex(&name, item);
            change(&mut item);
            self.index(&name, item);
            self.items.insert(name, item);
        }
    }

    /// Nothing is to be done for it any more.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some((name, item)) = self.items.remove_entry(name) {
            self.unindex(&name, item);
        }
    }

    /// It is in the response that goes out.
    pub(super) fn sent(&mut self, name: &str, removal: bool) {
        self.change(name, |item| {
            item.place = Place::Flight { removal };
            item.again = None;
        });
    }

    /// The response was acknowledged.
    pub(super) fn acked(&mut self, name: &Arc<str>) {
        if let Some(item) = self.items.get(name)
            && matches!(item.place, Place::Flight { .. })
        {
            let again = item.again;
            self.remove(name);
            if let Some(mark) = again {
                self.insert(name, mark);
            }
        }
    }

    /// The response was refused; the name is sent again with its group.
    pub(super) fn suspect(&mut self, name: &str) {
        self.change(name, |item| {
            if matches!(item.place, Place::Flight { .. }) {
                item.place = Place::Suspect;
                item.mark.force = true;
                if let Some(again) = item.again.take() {
                    item.mark.add |= again.add;
                    item.mark.join(again);
                }
            }
        });
    }

    /// It leaves its group: an ordinary name, to be looked at again.
    pub(super) fn retry(&mut self, name: &str) {
        self.change(name, |item| {
            item.place = Place::Ready;
            item.mark.force = true;
            if let Some(again) = item.again.take() {
                item.mark.add |= again.add;
                item.mark.join(again);
            }
        });
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
        due.sent(&name, false);
        due.mark(&name, mark(7));
        assert_eq!(due.next_ready(None), None);
        assert_eq!(due.oldest_add(), Some(3));
        due.acked(&name);
        assert_eq!(due.oldest(), Some(7));
        assert_eq!(due.oldest_add(), None);
        assert_eq!(due.next_ready(None), Some(name.clone()));
        due.sent(&name, false);
        due.acked(&name);
        assert!(due.is_empty());
        assert_eq!(due.oldest(), None);
    }

    #[test]
    fn what_comes_back_while_its_removal_is_out_is_new() {
        let mut due = Due::default();
        let name: Arc<str> = Arc::from("a");
        let held = |since| Mark {
            add: false,
            ..mark(since)
        };
        due.mark(&name, held(u64::MAX));
        due.sent(&name, true);
        due.mark(&name, held(7));
        assert_eq!(due.oldest_add(), Some(7));
        due.acked(&name);
        assert_eq!(due.oldest_add(), Some(7));
        due.sent(&name, false);
        due.suspect(&name);
        assert_eq!(due.oldest_add(), Some(7));
        due.remove(&name);
        assert_eq!(due.oldest_add(), None);
    }

    #[test]
    fn a_suspect_waits_for_its_group() {
        let mut due = Due::default();
        let name: Arc<str> = Arc::from("a");
        due.mark(&name, mark(3));
        due.sent(&name, false);
        due.suspect(&name);
        due.mark(&name, mark(9));
        assert_eq!(due.next_ready(None), None);
        assert_eq!(due.oldest(), Some(3));
        assert!(due.is_uncertain(&name));
        due.retry(&name);
        assert_eq!(due.next_ready(None), Some(name));
    }
}
