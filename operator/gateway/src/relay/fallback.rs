//! What Envoy is answered while no operator can be reached: what this gateway
//! acknowledged last, and nothing else. Sans-io: requests in, responses out.

use std::collections::{BTreeMap, BTreeSet};

use sluice_envoy::{Content, Kind, name};
use sluice_xds::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};

use super::last_known::LastKnown;

/// Types of which Envoy wants everything there is.
const WILDCARD: [Kind; 3] = [Kind::Cluster, Kind::Listener, Kind::Scope];

/// One stream of Envoy that is answered from what is known.
///
/// What Envoy holds is left as it is, and nothing is ever removed: it may be newer
/// than what is known here, whose acknowledgement was lost together with the
/// operator, and traffic runs on it. What it lacks is added.
///
/// A name that is not known is left unanswered: only the operator can say that it
/// does not exist. The readiness table goes last, when nothing else is awaited, so
/// that a gateway is ready only with all that it had.
#[derive(Debug)]
pub(crate) struct Fallback {
    known: LastKnown,
    nonces: u64,
    /// By type, the response that is to be acknowledged.
    outstanding: BTreeMap<String, String>,
    /// Types that were asked for.
    asked: BTreeSet<String>,
    /// Tables that Envoy holds or was sent.
    tables: BTreeSet<String>,
    /// Whether the readiness table was asked for, and is owed.
    readiness: bool,
    /// Whether Envoy refused something: then it is not what it was.
    refused: bool,
}

impl Fallback {
    pub(crate) fn new(known: LastKnown) -> Self {
        Self {
            known,
            nonces: 0,
            outstanding: BTreeMap::new(),
            asked: BTreeSet::new(),
            tables: BTreeSet::new(),
            readiness: false,
            refused: false,
        }
    }

    /// What a request is answered.
    pub(crate) fn on_request(
        &mut self,
        request: &DeltaDiscoveryRequest,
    ) -> Vec<DeltaDiscoveryResponse> {
        let type_url = &request.type_url;
        if self.outstanding.get(type_url) == Some(&request.response_nonce) {
            self.outstanding.remove(type_url);
            self.refused |= request.error_detail.is_some();
        }
        let first = self.asked.insert(type_url.clone());
        let held = &request.initial_resource_versions;
        let mut response = DeltaDiscoveryResponse {
            type_url: type_url.clone(),
            ..DeltaDiscoveryResponse::default()
        };
        let wildcard = WILDCARD.iter().any(|kind| kind.type_url() == type_url);
        if wildcard {
            if first {
                let lacking = |resource: &&Resource| !held.contains_key(&resource.name);
                response.resources = self.known.of(type_url).filter(lacking).cloned().collect();
            }
        } else {
            self.note_tables(request);
            response.resources = self.named(request);
        }
        let mut responses = Vec::new();
        // An Envoy that starts waits for an answer to a wildcard, be it empty.
        if (wildcard && first && held.is_empty()) || !response.resources.is_empty() {
            responses.push(self.sent(response));
        }
        responses.extend(self.readiness_when_due());
        responses
    }

    /// The resources of a request by name that Envoy lacks.
    fn named(&mut self, request: &DeltaDiscoveryRequest) -> Vec<Resource> {
        let held = &request.initial_resource_versions;
        let mut resources = Vec::new();
        for name in &request.resource_names_subscribe {
            let Some(resource) = self.known.get(&request.type_url, name) else {
                continue;
            };
            if held.contains_key(name) {
                continue;
            }
            if is_readiness(&request.type_url, name) {
                self.readiness = true;
            } else {
                resources.push(resource.clone());
            }
        }
        resources
    }

    fn note_tables(&mut self, request: &DeltaDiscoveryRequest) {
        if request.type_url == Kind::RouteTable.type_url() {
            self.tables
                .extend(request.resource_names_subscribe.iter().cloned());
            self.tables
                .extend(request.initial_resource_versions.keys().cloned());
        }
    }

    fn sent(&mut self, mut response: DeltaDiscoveryResponse) -> DeltaDiscoveryResponse {
        self.nonces += 1;
        response.nonce = format!("known-{}", self.nonces);
        response.system_version_info = "last-known".to_owned();
        self.outstanding
            .insert(response.type_url.clone(), response.nonce.clone());
        response
    }

    /// The readiness table, once Envoy has everything else: each wildcard type is
    /// answered and acknowledged, and every table that a scope leads to is known
    /// and was asked for. A scope without its table answers 404.
    fn readiness_when_due(&mut self) -> Option<DeltaDiscoveryResponse> {
        let tables = Kind::RouteTable.type_url();
        let all_asked = WILDCARD
            .iter()
            .all(|kind| self.asked.contains(kind.type_url()));
        let all_tables = self.known.of(Kind::Scope.type_url()).all(|scope| {
            Content::table_of(&scope.version).is_none_or(|table| {
                self.tables.contains(table) && self.known.get(tables, table).is_some()
            })
        });
        if self.refused
            || !self.readiness
            || !all_asked
            || !all_tables
            || !self.outstanding.is_empty()
        {
            return None;
        }
        self.readiness = false;
        let resource = self.known.get(tables, name::READINESS_TABLE)?.clone();
        Some(self.sent(DeltaDiscoveryResponse {
            type_url: tables.to_owned(),
            resources: vec![resource],
            ..DeltaDiscoveryResponse::default()
        }))
    }
}

/// Whether this is the table by which a gateway says that it is ready.
pub(crate) fn is_readiness(type_url: &str, name: &str) -> bool {
    type_url == Kind::RouteTable.type_url() && name == name::READINESS_TABLE
}

#[cfg(test)]
mod tests {
    use super::super::last_known::resource;
    use super::*;

    /// A scope's version names its table.
    fn version(kind: Kind) -> &'static str {
        if kind == Kind::Scope { "1@t" } else { "1" }
    }

    fn known(resources: &[(Kind, &str)]) -> LastKnown {
        let mut known = LastKnown::default();
        for (kind, name) in resources {
            let type_url = kind.type_url();
            known.apply(DeltaDiscoveryResponse {
                type_url: type_url.to_owned(),
                resources: vec![resource(name, version(*kind), type_url)],
                ..DeltaDiscoveryResponse::default()
            });
        }
        known
    }

    fn ask(kind: Kind, names: &[&str]) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn holding(kind: Kind, held: &[(&str, &str)], names: &[&str]) -> DeltaDiscoveryRequest {
        let pair = |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
        DeltaDiscoveryRequest {
            initial_resource_versions: held.iter().map(pair).collect(),
            ..ask(kind, names)
        }
    }

    fn ack(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn names(responses: &[DeltaDiscoveryResponse]) -> Vec<&str> {
        let resources = responses.iter().flat_map(|response| &response.resources);
        resources.map(|resource| resource.name.as_str()).collect()
    }

    #[test]
    fn an_envoy_that_starts_gets_all_and_readiness_last() {
        let mut fallback = Fallback::new(known(&[
            (Kind::Cluster, "c"),
            (Kind::Endpoints, "c"),
            (Kind::Listener, "l"),
            (Kind::Scope, "s"),
            (Kind::RouteTable, "t"),
            (Kind::RouteTable, name::READINESS_TABLE),
        ]));
        let clusters = fallback.on_request(&ask(Kind::Cluster, &[]));
        assert_eq!(names(&clusters), ["c"]);
        let endpoints = fallback.on_request(&ask(Kind::Endpoints, &["c"]));
        assert_eq!(names(&endpoints), ["c"]);
        let listeners = fallback.on_request(&ask(Kind::Listener, &[]));
        let scopes = fallback.on_request(&ask(Kind::Scope, &[]));
        let early = fallback.on_request(&ask(Kind::RouteTable, &[name::READINESS_TABLE]));
        assert!(
            early.is_empty(),
            "readiness before anything is acknowledged"
        );
        for response in clusters
            .iter()
            .chain(&endpoints)
            .chain(&listeners)
            .chain(&scopes)
        {
            assert!(
                fallback.on_request(&ack(response)).is_empty(),
                "a table is not asked for yet"
            );
        }
        let table = fallback.on_request(&ask(Kind::RouteTable, &["t"]));
        assert_eq!(names(&table), ["t"]);
        let last = fallback.on_request(&ack(&table[0]));
        assert_eq!(names(&last), [name::READINESS_TABLE]);
        assert!(fallback.on_request(&ack(&last[0])).is_empty(), "once");
    }

    #[test]
    fn an_envoy_that_holds_everything_is_sent_nothing() {
        let mut fallback = Fallback::new(known(&[
            (Kind::Cluster, "c"),
            (Kind::RouteTable, name::READINESS_TABLE),
        ]));
        // Newer than what is known, and not known at all: it stays.
        let held = [("c", "2"), ("x", "1")];
        let clusters = fallback.on_request(&holding(Kind::Cluster, &held, &[]));
        assert!(clusters.is_empty());
        let ready = name::READINESS_TABLE;
        let tables = fallback.on_request(&holding(Kind::RouteTable, &[(ready, "1")], &[ready]));
        assert!(tables.is_empty());
    }

    #[test]
    fn what_envoy_lacks_is_added_to_what_it_holds() {
        let mut fallback = Fallback::new(known(&[(Kind::Endpoints, "c"), (Kind::Endpoints, "d")]));
        let sent = fallback.on_request(&holding(Kind::Endpoints, &[("c", "0")], &["c", "d"]));
        assert_eq!(names(&sent), ["d"]);
    }

    #[test]
    fn an_unknown_name_is_left_unanswered_and_an_empty_type_is_answered() {
        let mut fallback = Fallback::new(known(&[(Kind::Cluster, "c")]));
        let secret = fallback.on_request(&ask(Kind::Secret, &["unknown.example.com"]));
        assert!(secret.is_empty(), "not known is not the same as not there");
        let scopes = fallback.on_request(&ask(Kind::Scope, &[]));
        assert_eq!((scopes.len(), scopes[0].resources.len()), (1, 0));
    }
}
