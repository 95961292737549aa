//! What a gateway asks for.

use std::collections::HashSet;
use std::sync::Arc;

use sluice_envoy::{Kind, name};

use super::Stream;
use super::scopes::Placing;
use super::spellings::Spellings;
use crate::Store;
use crate::store::Want;
use crate::wire::DeltaDiscoveryRequest;

/// Asks for all resources of a type.
const ALL: &str = "*";

impl Stream {
    /// Takes one request. Poll afterwards.
    pub fn on_request(&mut self, mut request: DeltaDiscoveryRequest, store: &mut Store) {
        if let Some(node) = &request.node {
            self.node.clone_from(&node.id);
            let build = node.user_agent_build_version.as_ref();
            if let Some(version) = build.and_then(|build| build.version) {
                self.envoy = Some(version.to_string());
            }
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
        let asked: HashSet<&str> = names.iter().map(String::as_str).collect();
        let all = wildcard || asked.contains(ALL);
        for (name, version) in held {
            if all || asked.contains(name.as_str()) {
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
            && let Some(placing) = Placing::held(name, &version)
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
            Kind::Secret => Spellings::host(name),
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
}
