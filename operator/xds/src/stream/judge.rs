//! What becomes of one due name: sent, settled, or left waiting.

use std::sync::Arc;

use sluice_envoy::{Content, Kind, name, secret_named};

use super::Stream;
use super::anchor::Pass;
use super::scopes::{Placing, anchored};
use super::spellings::Spellings;
use super::subscription::{Atom, Put, Step};
use super::table::Table;
use crate::Store;
use crate::store::Want;

/// What becomes of a due name.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing is to be done.
    Settled,
    /// Nothing is to be done: what it has is the last good version.
    Kept,
    /// Nothing is to be done while last good routes may need it.
    LeftAlone,
    /// A cluster: its removal comes later.
    Leaves,
    /// Not yet.
    Wait,
    /// It may go, unless its shape is being tried out elsewhere.
    Send(Atom),
}

impl Stream {
    /// Judges a due name by what is held, wanted, and ruled.
    pub(super) fn judge(
        &self,
        kind: Kind,
        name: &Arc<str>,
        store: &Store,
        pass: &mut Pass,
    ) -> Verdict {
        let Some(mark) = self.types[kind].due.get(name) else {
            return if kind == Kind::Scope && anchored(name).is_some() {
                self.judge_anchor(name, store)
            } else {
                Verdict::Settled
            };
        };
        let host = match kind {
            Kind::Secret => Spellings::host(name),
            _ => None,
        };
        let source: Arc<str> = match (kind, host) {
            (Kind::Secret, Some(host)) if self.spellings.is_granted(&host, name) => {
                Arc::from(host.as_str())
            }
            // One spelling too many: there is no such secret.
            (Kind::Secret, Some(_)) => {
                return self.judge_absent(kind, name, name, mark.force, store);
            }
            _ => name.clone(),
        };
        let held = self.types[kind].version(name);
        match store.want(kind, &source, held) {
            Want::Keep => Verdict::Kept,
            Want::Nothing => self.judge_absent(kind, name, &source, mark.force, store),
            Want::Content(content, _) if !mark.force && held == Some(&content.version) => {
                Verdict::Settled
            }
            Want::Content(content, shape) => {
                let put = |placing| Put {
                    name: name.clone(),
                    source: source.clone(),
                    content: match kind {
                        Kind::Secret => Content {
                            version: content.version.clone(),
                            body: secret_named(content, name),
                        },
                        _ => content.clone(),
                    },
                    shape,
                    placing,
                };
                match kind {
                    Kind::Scope => self.judge_scope(name, put, store, pass),
                    Kind::RouteTable if self.is_deferred(name, mark, store) => Verdict::Wait,
                    _ => Verdict::Send(Atom::put(name, put(None))),
                }
            }
        }
    }

    /// The store has nothing under this name for this gateway.
    fn judge_absent(
        &self,
        kind: Kind,
        name: &Arc<str>,
        source: &str,
        force: bool,
        store: &Store,
    ) -> Verdict {
        let types = &self.types[kind];
        if !types.held.contains_key(name) {
            // Who asks by name waits for an answer, if only that there is none.
            return if force && types.names.contains(name) {
                Verdict::Send(Atom::remove(name))
            } else {
                Verdict::Settled
            };
        }
        // Of a scope, its table tells whose it is.
        let owned = self.scopes.placing(name).filter(|_| kind == Kind::Scope);
        let owned = owned.map_or(source, |placing| &placing.table);
        if store.entry(kind, source).is_none()
            && (store.is_left_alone(kind, owned) || self.kept.may_need(kind, source))
        {
            return Verdict::LeftAlone;
        }
        match kind {
            // Envoy ignores these removals while something refers to the name,
            // and unsubscribes once nothing does.
            Kind::Endpoints | Kind::RouteTable if !force => Verdict::Settled,
            Kind::Cluster if !self.leaving.is_ready(name) => Verdict::Leaves,
            Kind::Scope if anchored(name).is_some() => Verdict::Settled,
            Kind::Scope if self.successor(name, store).is_some_and(|s| s != name) => Verdict::Wait,
            _ => Verdict::Send(Atom::remove(name)),
        }
    }

    /// The live scope that is due to take over a held scope's key; it may be the
    /// same scope, which is then to lead elsewhere.
    pub(super) fn successor<'a>(&self, scope: &str, store: &'a Store) -> Option<&'a Arc<str>> {
        let placing = self.scopes.placing(scope)?;
        let successor = store.scope_of_key(&placing.key)?;
        let types = &self.types[Kind::Scope];
        let coming = types.due.get(successor).is_some()
            && matches!(
                store.want(Kind::Scope, successor, types.version(successor)),
                Want::Content(..)
            );
        coming.then_some(successor)
    }

    /// A scope waits for the clusters of its revision and for its table; the
    /// scope that had its key goes in the same response.
    fn judge_scope(
        &self,
        name: &Arc<str>,
        put: impl FnOnce(Option<Placing>) -> Put,
        store: &Store,
        pass: &mut Pass,
    ) -> Verdict {
        let Some(entry) = store.entry(Kind::Scope, name) else {
            return Verdict::Settled;
        };
        let gated = self.is_gated(entry.changed);
        let (Some(key), Some(table)) = (&entry.resource.key, &entry.resource.table) else {
            return if gated {
                Verdict::Wait
            } else {
                Verdict::Send(Atom::put(name, put(None)))
            };
        };
        let rival = self.scopes.of_key(key);
        let present = rival.and_then(|scope| self.scopes.placing(scope));
        let moves = present.is_some_and(|present| present.table != *table);
        if moves {
            pass.destinations.insert(table.clone());
        }
        if gated {
            return Verdict::Wait;
        }
        match self.table(table, store) {
            Table::Coming => return Verdict::Wait,
            Table::Unasked(changed) if self.is_gated(changed) => return Verdict::Wait,
            Table::Unasked(_) if moves && self.can_anchor(table, store) => {
                pass.unasked.insert(table.clone());
                return Verdict::Wait;
            }
            Table::Unasked(_) | Table::Present | Table::Never => {}
        }
        let mut steps = Vec::new();
        if let Some(rival) = rival.filter(|rival| *rival != name) {
            steps.push(Step::Remove(rival.clone()));
        }
        let anchors = &self.types[Kind::Scope].held;
        if moves && let Some((anchor, _)) = anchors.get_key_value(&*name::anchor_scope(table)) {
            steps.push(Step::Remove(anchor.clone()));
        }
        let placing = Placing::of(&entry.resource);
        steps.push(Step::Put(Box::new(put(placing))));
        Verdict::Send(Atom {
            lead: name.clone(),
            steps,
        })
    }

    /// Whether a cluster or an assignment that appeared up to this revision is
    /// still to be acknowledged.
    pub(super) fn is_gated(&self, revision: u64) -> bool {
        [Kind::Cluster, Kind::Endpoints]
            .iter()
            .filter_map(|kind| self.types[*kind].due.oldest_add())
            .any(|oldest| oldest <= revision)
    }
}
