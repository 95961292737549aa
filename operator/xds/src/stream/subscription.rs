//! One type on one stream: what was asked for, what is held, what is out.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use sluice_envoy::{Content, Kind};

use super::due::Due;
use super::scopes::Placing;
use crate::Traffic;

/// One type on one stream.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// Whether the gateway asked for this type at all.
    pub(super) active: bool,
    /// Whether it wants all there is.
    pub(super) wildcard: bool,
    /// What it wants by name.
    pub(super) names: BTreeSet<Arc<str>>,
    /// What it acknowledged: name to version.
    pub(super) held: HashMap<Arc<str>, String>,
    pub(super) due: Due,
    /// The one response that is not acknowledged yet.
    pub(super) outstanding: Option<Outstanding>,
    /// Parts of refused responses, to be sent again apart.
    pub(super) suspects: VecDeque<Vec<Arc<str>>>,
    /// Suspects and others take turns, so that neither waits for the other.
    pub(super) suspects_next: bool,
    /// The first answer is owed even if it is empty: a gateway waits for it.
    pub(super) greet: bool,
    /// Whether the gateway has ever had an answer for this type.
    pub(super) answered: bool,
    pub(super) traffic: Traffic,
    /// Acknowledgements that were given a time.
    timed_acks: u64,
}

/// A response that waits for its ACK.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) nonce: String,
    pub(super) atoms: Vec<Atom>,
}

/// What must stand in one response together; the unit of bisection.
#[derive(Debug)]
pub(super) struct Atom {
    /// The name that is due.
    pub(super) lead: Arc<str>,
    pub(super) steps: Vec<Step>,
}

/// One resource, or one removal, of a response.
#[derive(Debug)]
pub(super) enum Step {
    /// A resource.
    Put(Box<Put>),
    /// A removal by name.
    Remove(Arc<str>),
}

/// A resource as sent.
#[derive(Debug)]
pub(super) struct Put {
    /// The name that the gateway knows it by.
    pub(super) name: Arc<str>,
    /// Its name in the store: of a secret, the host in its one spelling.
    pub(super) source: Arc<str>,
    pub(super) content: Content,
    pub(super) shape: Option<u64>,
    /// Scopes only.
    pub(super) placing: Option<Placing>,
}

impl Subscription {
    /// Whether the gateway wants this name.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The version that it acknowledged.
    pub(super) fn version(&self, name: &str) -> Option<&str> {
        self.held.get(name).map(String::as_str)
    }

    /// Gives acknowledgements that came since the last call their time.
    pub(super) fn time_acks(&mut self, now: Instant) {
        if self.timed_acks != self.traffic.acks {
            self.timed_acks = self.traffic.acks;
            self.traffic.last_ack = Some(now);
        }
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            held: self.held.len(),
            due: self.due.len(),
            ..self.traffic
        }
    }
}

impl Atom {
    pub(super) fn put(lead: &Arc<str>, put: Put) -> Self {
        Self {
            lead: lead.clone(),
            steps: vec![Step::Put(Box::new(put))],
        }
    }

    pub(super) fn remove(lead: &Arc<str>) -> Self {
        Self {
            lead: lead.clone(),
            steps: vec![Step::Remove(lead.clone())],
        }
    }

    /// The resource that it brings, if it does not only remove.
    pub(super) fn brings(&self) -> Option<&Put> {
        self.steps.iter().find_map(|step| match step {
            Step::Put(put) => Some(put.as_ref()),
            Step::Remove(_) => None,
        })
    }
}

/// All types of one stream.
#[derive(Debug, Default)]
pub(super) struct Subscriptions([Subscription; Kind::ALL.len()]);

impl std::ops::Index<Kind> for Subscriptions {
    type Output = Subscription;

    fn index(&self, kind: Kind) -> &Subscription {
        &self.0[kind as usize]
    }
}

impl std::ops::IndexMut<Kind> for Subscriptions {
    fn index_mut(&mut self, kind: Kind) -> &mut Subscription {
        &mut self.0[kind as usize]
    }
}
