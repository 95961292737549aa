//! What passes between Envoy and the operator, watched for what Envoy holds.
//! Sans-io: messages in, what is known changed.

use std::collections::{BTreeSet, HashMap};

use sluice_xds::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::fallback::is_readiness;
use super::last_known::LastKnown;

/// One stream of Envoy's.
#[derive(Default)]
pub(crate) struct Snoop {
    /// Responses that Envoy has neither acknowledged nor refused, by type and nonce.
    pending: HashMap<(String, String), DeltaDiscoveryResponse>,
    /// By type that was asked for on this stream, the names that Envoy holds.
    held: HashMap<String, BTreeSet<String>>,
}

impl Snoop {
    /// A response on its way to Envoy.
    pub(crate) fn on_response(&mut self, response: &DeltaDiscoveryResponse) {
        let key = (response.type_url.clone(), response.nonce.clone());
        self.pending.insert(key, response.clone());
    }

    /// A request on its way to the operator. Versions that are not known here are
    /// marked, so that the operator sends them again.
    pub(crate) fn on_request(
        &mut self,
        request: &mut DeltaDiscoveryRequest,
        known: &mut LastKnown,
    ) {
        let type_url = request.type_url.clone();
        if !self.held.contains_key(&type_url) {
            let names = request.initial_resource_versions.keys().cloned().collect();
            self.held.insert(type_url.clone(), names);
            known.mark_unknown(&type_url, &mut request.initial_resource_versions);
        }
        let held = self.held.entry(type_url.clone()).or_default();
        for name in &request.resource_names_unsubscribe {
            held.remove(name);
        }
        known.forget(&type_url, request.resource_names_unsubscribe.iter());
        let key = (type_url, request.response_nonce.clone());
        let Some(answered) = self.pending.remove(&key) else {
            return;
        };
        // Of a refused response Envoy may hold a part: none of it counts.
        if request.error_detail.is_some() {
            return;
        }
        for name in &answered.removed_resources {
            held.remove(name);
        }
        held.extend(
            answered
                .resources
                .iter()
                .map(|resource| resource.name.clone()),
        );
        let ready = answered
            .resources
            .iter()
            .any(|resource| is_readiness(&answered.type_url, &resource.name));
        known.apply(answered);
        // Now Envoy has all it is to have: what it does not hold is of another time.
        if ready {
            known.keep_only(&self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_envoy::{Kind, name};
    use sluice_xds::wire::Status;

    use super::super::last_known::resource;
    use super::*;

    fn response(kind: Kind, nonce: &str, resources: &[(&str, &str)]) -> DeltaDiscoveryResponse {
        let type_url = kind.type_url();
        DeltaDiscoveryResponse {
            type_url: type_url.to_owned(),
            nonce: nonce.to_owned(),
            resources: resources
                .iter()
                .map(|(n, v)| resource(n, v, type_url))
                .collect(),
            ..DeltaDiscoveryResponse::default()
        }
    }

    fn answer(kind: Kind, nonce: &str) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            response_nonce: nonce.to_owned(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn names(known: &LastKnown, kind: Kind) -> Vec<&str> {
        known.of(kind.type_url()).map(|r| r.name.as_str()).collect()
    }

    #[test]
    fn what_is_acknowledged_is_known_and_what_is_refused_is_not() {
        let (mut snoop, mut known) = (Snoop::default(), LastKnown::default());
        snoop.on_response(&response(Kind::Cluster, "1", &[("a", "1")]));
        snoop.on_response(&response(Kind::Cluster, "2", &[("b", "1")]));
        assert!(known.is_empty(), "sent is not held");
        snoop.on_request(&mut answer(Kind::Cluster, "1"), &mut known);
        let mut refusal = answer(Kind::Cluster, "2");
        refusal.error_detail = Some(Status::default());
        snoop.on_request(&mut refusal, &mut known);
        // An acknowledgement of another type is another matter.
        snoop.on_response(&response(Kind::Cluster, "3", &[("c", "1")]));
        snoop.on_request(&mut answer(Kind::Endpoints, "3"), &mut known);
        assert_eq!(names(&known, Kind::Cluster), ["a"]);
    }

    #[test]
    fn what_envoy_unsubscribes_from_is_forgotten() {
        let (mut snoop, mut known) = (Snoop::default(), LastKnown::default());
        known.apply(response(Kind::RouteTable, "", &[("t", "1"), ("u", "1")]));
        let mut request = answer(Kind::RouteTable, "");
        request.resource_names_unsubscribe = vec!["t".to_owned()];
        snoop.on_request(&mut request, &mut known);
        assert_eq!(names(&known, Kind::RouteTable), ["u"]);
    }

    #[test]
    fn with_readiness_all_is_forgotten_that_envoy_does_not_hold() {
        let (mut snoop, mut known) = (Snoop::default(), LastKnown::default());
        known.apply(response(Kind::Cluster, "", &[("old", "1"), ("held", "1")]));
        known.apply(response(Kind::Secret, "", &[("a.example.com", "1")]));
        let mut first = answer(Kind::Cluster, "");
        first.initial_resource_versions = [("held".to_owned(), "1".to_owned())].into();
        snoop.on_request(&mut first, &mut known);
        assert_eq!(names(&known, Kind::Cluster), ["held", "old"], "not yet");
        let tables = [("t", "1"), (name::READINESS_TABLE, "1")];
        snoop.on_response(&response(Kind::RouteTable, "9", &tables));
        snoop.on_request(&mut answer(Kind::RouteTable, "9"), &mut known);
        assert_eq!(names(&known, Kind::Cluster), ["held"]);
        assert_eq!(
            names(&known, Kind::Secret),
            ["a.example.com"],
            "comes with a handshake"
        );
    }

    #[test]
    fn versions_that_are_not_known_are_asked_for_again_once() {
        let (mut snoop, mut known) = (Snoop::default(), LastKnown::default());
        known.apply(response(Kind::Scope, "", &[("s", "1@t")]));
        let mut first = answer(Kind::Scope, "");
        let held = [("s", "1@t"), ("lost", "2@u")];
        first.initial_resource_versions = held
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .into();
        snoop.on_request(&mut first, &mut known);
        assert_eq!(first.initial_resource_versions["s"], "1@t");
        assert_eq!(first.initial_resource_versions["lost"], "2?@u");
    }
}
