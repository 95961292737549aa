//! What a gateway says: subscriptions, ACKs and NACKs.
//!
//! A NACK refuses good neighbours too (all of an SRDS response, an arbitrary
//! part of an RDS one), and its words do not reliably name the culprit. So
//! nothing of a refused response counts as held; it is sent again in halves,
//! and what is refused alone is quarantined for the whole fleet.

use std::sync::Arc;

use sluice_envoy::{Kind, name};

use super::Stream;
use super::scopes::Placing;
use super::subscription::{Atom, Outstanding, Step};
use crate::store::Want;
use crate::wire::{DeltaDiscoveryRequest, Status};
use crate::{Quarantined, Store};

/// Asks for all resources of a type.
const ALL: &str = "*";

impl Stream {
    /// Takes one request. Poll afterwards.
    pub fn on_request(&mut self, mut request: DeltaDiscoveryRequest, store: &mut Store) {
        if let Some(node) = &request.node {
            self.node.clone_from(&node.id);
        }
        let Some(kind) = Kind::from_type_url(&request.type_url) else {
            tracing::warn!(type_url = request.type_url, "unknown resource type ignored");
            return;
        };
        self.look_for_news(store);
        if !request.response_nonce.is_empty() {
            let error = request.error_detail.take();
            self.take_answer(kind, &request.response_nonce, error, store);
        }
        if self.types[kind].active {
            for name in request.resource_names_unsubscribe {
                self.unsubscribe(kind, &name);
            }
            for name in request.resource_names_subscribe {
                self.subscribe(kind, &name, store);
            }
        } else {
            self.begin(kind, request, store);
        }
    }

    /// A type's first request on this stream: says what is held from before.
    fn begin(&mut self, kind: Kind, request: DeltaDiscoveryRequest, store: &Store) {
        let names = request.resource_names_subscribe;
        let held = request.initial_resource_versions;
        let wildcard = names.is_empty() && kind.is_wildcard();
        let subscription = &mut self.types[kind];
        subscription.active = true;
        subscription.answered = !held.is_empty();
        if wildcard {
            subscription.wildcard = true;
            subscription.greet = held.is_empty();
        }
        for (name, version) in held {
            if wildcard || names.iter().any(|n| *n == name || n == ALL) {
                self.hold(kind, &Arc::from(name), version);
            }
        }
        if wildcard {
            self.compare_all(kind, store);
        }
        for name in names {
            if name != ALL && self.types[kind].held.contains_key(name.as_str()) {
                let name: Arc<str> = Arc::from(name);
                self.types[kind].names.insert(name.clone());
                if kind == Kind::Secret {
                    self.spellings.ask(&name, self.settings.spellings);
                }
                self.compare(kind, &name, store);
            } else {
                self.subscribe(kind, &name, store);
            }
        }
        if kind == Kind::Endpoints {
            // What it holds is the newest, and its changed clusters still wait
            // for an answer: the request was on its way when they came.
            for name in std::mem::take(&mut self.unassigned) {
                if self.types[kind].wants(&name) {
                    self.mark(kind, &name, self.cursor, true);
                }
            }
        }
    }

    fn hold(&mut self, kind: Kind, name: &Arc<str>, version: String) {
        if kind == Kind::Scope
            && let Some(placing) = Placing::named(name)
        {
            self.scopes.insert(name, placing);
        }
        self.types[kind].held.insert(name.clone(), version);
    }

    /// Asks for a name that is answered in any case: a gateway that asks again
    /// waits for an answer again.
    fn subscribe(&mut self, kind: Kind, name: &str, store: &Store) {
        if name == ALL {
            if kind == Kind::Secret {
                tracing::warn!("subscription to all secrets ignored");
                return;
            }
            self.types[kind].wildcard = true;
            self.types[kind].greet = !self.types[kind].answered;
            self.compare_all(kind, store);
            return;
        }
        let name: Arc<str> = Arc::from(name);
        self.types[kind].names.insert(name.clone());
        if kind == Kind::Secret {
            self.spellings.ask(&name, self.settings.spellings);
        }
        let since = self.since(kind, &name, store);
        self.mark(kind, &name, since, true);
    }

    fn unsubscribe(&mut self, kind: Kind, name: &str) {
        let subscription = &mut self.types[kind];
        if name == ALL {
            subscription.wildcard = false;
            let names = &subscription.names;
            let gone: Vec<Arc<str>> = subscription
                .held
                .keys()
                .filter(|name| !names.contains(*name))
                .cloned()
                .collect();
            for name in gone {
                self.forget(kind, &name);
            }
            return;
        }
        subscription.names.remove(name);
        if !subscription.wildcard {
            self.forget(kind, name);
        }
    }

    /// The gateway has no interest in it: what it holds is not followed.
    fn forget(&mut self, kind: Kind, name: &str) {
        self.types[kind].held.remove(name);
        self.types[kind].due.remove(name);
        self.orphans.remove(&(kind, Arc::from(name)));
        self.let_go(kind, name);
        match kind {
            Kind::Scope => self.scopes.remove(name),
            Kind::Secret => self.spellings.release(name),
            Kind::RouteTable if name == name::READINESS_TABLE => self.readiness = None,
            _ => {}
        }
    }

    /// The revision since which a gateway that asks now lacks a name.
    fn since(&self, kind: Kind, name: &str, store: &Store) -> u64 {
        let source = match kind {
            Kind::Secret => super::spellings::Spellings::host(name),
            _ => None,
        };
        let name = source.as_ref().map_or(name, |host| host.as_str());
        store.entry(kind, name).map_or(self.cursor, |e| e.created)
    }

    /// Makes due what of a type differs from what the gateway holds.
    fn compare_all(&mut self, kind: Kind, store: &Store) {
        let held = self.types[kind].held.keys();
        let gone = held.filter(|name| store.entry(kind, name).is_none());
        let gone: Vec<Arc<str>> = gone.cloned().collect();
        for (name, _) in store.names(kind) {
            self.compare(kind, name, store);
        }
        for name in gone {
            self.mark(kind, &name, self.cursor, false);
        }
    }

    fn compare(&mut self, kind: Kind, name: &Arc<str>, store: &Store) {
        let held = self.types[kind].version(name);
        // A secret's name is a spelling; judging it is left to the turn.
        let same = kind != Kind::Secret
            && match store.want(kind, name, held) {
                Want::Content(content, _) => held == Some(content.version.as_str()),
                Want::Keep => {
                    self.kept.keep(kind, name);
                    true
                }
                Want::Nothing => held.is_none(),
            };
        if !same {
            self.mark(kind, name, self.since(kind, name, store), false);
        }
    }

    /// An ACK or a NACK; one for an older response says nothing of this one.
    fn take_answer(&mut self, kind: Kind, nonce: &str, error: Option<Status>, store: &mut Store) {
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
        // The words may quote the resource: not those of a secret.
        let detail = match kind {
            Kind::Secret => "",
            _ => status.message.as_str(),
        };
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
