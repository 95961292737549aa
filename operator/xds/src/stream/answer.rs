//! What a gateway answers: ACKs and NACKs.
//!
//! A NACK refuses good neighbours too (all of an SRDS response, an arbitrary
//! part of an RDS one), and its words do not reliably name the culprit. So
//! nothing of a refused response counts as held; it is sent again in halves,
//! and what is refused alone is quarantined for the whole fleet.

use std::sync::Arc;

use sluice_envoy::Kind;

use super::Stream;
use super::subscription::{Atom, Outstanding, Step};
use crate::store::Want;
use crate::wire::Status;
use crate::{Quarantined, Store};

/// Characters of a gateway's words that are kept: enough for the field, too
/// little for a dump of the resource.
const DETAIL: usize = 1024;

impl Stream {
    /// An ACK or a NACK; one for an older response says nothing of this one.
    pub(super) fn take_answer(
        &mut self,
        kind: Kind,
        nonce: &str,
        error: Option<Status>,
        store: &mut Store,
    ) {
        let subscription = &mut self.types[kind];
        let outstanding = subscription.outstanding.take_if(|o| o.nonce == nonce);
        let Some(outstanding) = outstanding else {
            tracing::debug!(%kind, nonce, "stale nonce ignored");
            return;
        };
        subscription.answered = true;
        match error {
            None => {
                subscription.traffic.acks += 1;
                for atom in outstanding.atoms {
                    self.accept(kind, atom, store);
                }
            }
            Some(status) => {
                subscription.traffic.nacks += 1;
                self.refuse(kind, outstanding, &status, store);
            }
        }
    }

    fn accept(&mut self, kind: Kind, atom: Atom, store: &mut Store) {
        for step in atom.steps {
            match step {
                Step::Put(put) => {
                    if let Some(shape) = put.shape {
                        store.accepted(kind, shape, self.id);
                    }
                    if !self.types[kind].wants(&put.name) {
                        continue;
                    }
                    if let Some(placing) = put.placing {
                        self.await_table(&placing.table, store);
                        self.scopes.insert(&put.name, placing);
                    }
                    self.types[kind].held.insert(put.name, put.content.version);
                }
                Step::Remove(name) => self.gone(kind, &name),
            }
        }
        self.types[kind].due.acked(&atom.lead);
    }

    /// The gateway holds this name no more.
    fn gone(&mut self, kind: Kind, name: &Arc<str>) {
        self.types[kind].held.remove(name);
        self.orphans.remove(&(kind, name.clone()));
        if kind == Kind::Scope {
            let table = self.scopes.placing(name).map(|p| p.table.clone());
            self.scopes.remove(name);
            if let Some(table) = table
                && self.scopes.of_table(&table).next().is_none()
            {
                self.awaited.remove(&table);
            }
        }
    }

    /// A gateway asks for the table of a scope that it took, usually before it
    /// acknowledges the scope; until then the scope is not served.
    fn await_table(&mut self, table: &str, store: &Store) {
        let tables = &self.types[Kind::RouteTable];
        if tables.wants(table) {
            return;
        }
        if let Some(entry) = store.entry(Kind::RouteTable, table)
            && matches!(store.want(Kind::RouteTable, table, None), Want::Content(..))
        {
            self.awaited.insert(table.to_owned(), entry.created);
        }
    }

    fn refuse(&mut self, kind: Kind, refused: Outstanding, status: &Status, store: &mut Store) {
        let mut atoms = refused.atoms;
        let detail = detail(kind, &status.message);
        tracing::warn!(
            node = self.node,
            %kind,
            nonce = refused.nonce,
            parts = atoms.len(),
            code = status.code,
            detail,
            "gateway refused a response"
        );
        if atoms.len() > 1 {
            let subscription = &mut self.types[kind];
            let second = atoms.split_off(atoms.len().div_ceil(2));
            for half in [second, atoms] {
                let names: Vec<Arc<str>> = half.into_iter().map(|atom| atom.lead).collect();
                for name in &names {
                    subscription.due.suspect(name);
                }
                subscription.suspects.push_front(names);
            }
            return;
        }
        let Some(atom) = atoms.pop() else {
            return;
        };
        let Some(put) = atom.brings() else {
            // A refused removal cannot be told apart from one that was taken,
            // and nothing else is left to be done about it.
            self.accept(kind, atom, store);
            return;
        };
        let refusal = Quarantined {
            kind,
            name: put.source.to_string(),
            version: put.content.version.clone(),
            node: self.node.clone(),
            detail: detail.to_owned(),
        };
        tracing::warn!(
            %kind,
            name = refusal.name,
            version = refusal.version,
            "version quarantined"
        );
        store.refused(refusal, put.shape);
        self.types[kind].due.retry(&atom.lead);
    }
}

/// What is kept of a gateway's words. They may quote the resource, so nothing of
/// what is said about a secret.
fn detail(kind: Kind, words: &str) -> &str {
    if kind == Kind::Secret {
        return "";
    }
    let end = words.char_indices().nth(DETAIL).map(|(end, _)| end);
    end.map_or(words, |end| &words[..end])
}
