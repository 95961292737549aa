//! Scopes that only keep a table warm, for hosts that are about to move to it.
//!
//! Envoy asks for a table only when a scope names it, and a host repointed to a
//! table that is not there answers 404. So a table that nothing leads to yet is
//! first named by an anchor, which no request can match.

use std::collections::BTreeSet;
use std::sync::Arc;

use sluice_envoy::{Kind, anchor, name};

use super::Stream;
use super::batch::Batch;
use super::judge::Verdict;
use super::scopes::{Placing, anchored};
use super::subscription::{Atom, Put, Step};
use crate::Store;

/// What one pass over the due scopes found.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Tables that a host is about to move to.
    pub(super) destinations: BTreeSet<String>,
    /// Of these, those that nothing leads to yet.
    pub(super) unasked: BTreeSet<String>,
}

impl Stream {
    /// Sends anchors that moving hosts need, takes away those that none does.
    pub(super) fn tend_anchors(&self, store: &Store, pass: &Pass, batch: &mut Batch) {
        for table in &pass.unasked {
            let name: Arc<str> = Arc::from(name::anchor_scope(table));
            if let Verdict::Send(atom) = self.judge_anchor(&name, store)
                && batch.push(atom, &self.settings).is_err()
            {
                return;
            }
        }
        if !self.types[Kind::Scope].suspects.is_empty() {
            // A host that moves may be among them.
            return;
        }
        let going = |anchor: &Arc<str>| {
            batch.atoms.iter().any(|atom| {
                let mut steps = atom.steps.iter();
                steps.any(|step| matches!(step, Step::Remove(name) if name == anchor))
            })
        };
        let idle: Vec<Arc<str>> = self
            .scopes
            .anchors()
            .filter(|anchor| {
                anchored(anchor).is_none_or(|table| !pass.destinations.contains(table))
                    && !going(anchor)
            })
            .cloned()
            .collect();
        for anchor in idle {
            if batch.push(Atom::remove(&anchor), &self.settings).is_err() {
                return;
            }
        }
    }

    /// An anchor, asked for by a pass or left in a refused response.
    pub(super) fn judge_anchor(&self, anchor_name: &Arc<str>, store: &Store) -> Verdict {
        let Some(table) = anchored(anchor_name) else {
            return Verdict::Settled;
        };
        if self.types[Kind::Scope].held.contains_key(anchor_name) || !self.can_anchor(table, store)
        {
            return Verdict::Settled;
        }
        let Some(resource) = anchor(table) else {
            return Verdict::Settled;
        };
        let placing = Placing::of(&resource);
        match resource.content {
            Some(content) => Verdict::Send(Atom::put(
                anchor_name,
                Put {
                    name: anchor_name.clone(),
                    source: anchor_name.clone(),
                    content,
                    shape: None,
                    placing,
                },
            )),
            None => Verdict::Settled,
        }
    }

    /// Whether a table can be warmed; if not, the host moves without it rather
    /// than never.
    pub(super) fn can_anchor(&self, table: &str, store: &Store) -> bool {
        anchor(table)
            .and_then(|anchor| Some((anchor.name, anchor.content?)))
            .is_some_and(|(name, content)| {
                !store.is_quarantined(Kind::Scope, &name, &content.version)
            })
    }
}
