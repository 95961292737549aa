//! What this gateway acknowledged last: in memory, and in files that outlive the
//! process but not the machine's memory.

mod files;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use bytes::Bytes;
use sluice_envoy::Kind;
#[cfg(test)]
use sluice_xds::wire::Any;
use sluice_xds::wire::{DeltaDiscoveryResponse, Resource};

pub(crate) use files::Files;

/// Resources by type and name, with their versions. Bytes are shared; nothing here
/// looks into them.
#[derive(Clone, Default)]
pub(crate) struct LastKnown {
    types: BTreeMap<String, BTreeMap<String, Resource>>,
    /// Types that differ from what was last taken by [`LastKnown::take_changed`].
    changed: BTreeSet<String>,
}

impl LastKnown {
    /// Whether nothing was ever acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.types.values().all(BTreeMap::is_empty)
    }

    /// Takes over a response that Envoy has acknowledged.
    pub(crate) fn apply(&mut self, response: DeltaDiscoveryResponse) {
        let DeltaDiscoveryResponse {
            resources,
            type_url,
            removed_resources,
            ..
        } = response;
        if resources.is_empty() && removed_resources.is_empty() {
            return;
        }
        let known = self.types.entry(type_url.clone()).or_default();
        for name in &removed_resources {
            known.remove(name);
        }
        for mut resource in resources {
            // What is decoded is a part of the transport's buffer: kept for long,
            // a small resource would keep a whole response in memory.
            if let Some(any) = &mut resource.resource {
                any.value = Bytes::copy_from_slice(&any.value);
            }
            known.insert(resource.name.clone(), resource);
        }
        self.changed.insert(type_url);
    }

    /// Forgets names that Envoy does not want any more.
    pub(crate) fn forget<'a>(&mut self, type_url: &str, names: impl Iterator<Item = &'a String>) {
        let Some(known) = self.types.get_mut(type_url) else {
            return;
        };
        let mut forgotten = false;
        for name in names {
            forgotten |= known.remove(name).is_some();
        }
        if forgotten {
            self.changed.insert(type_url.to_owned());
        }
    }

    /// Forgets all but what Envoy is known to hold, of the types that it has asked
    /// for on this stream: of the others (certificates come with a handshake)
    /// nothing is known yet.
    pub(crate) fn keep_only(&mut self, held: &HashMap<String, BTreeSet<String>>) {
        for (type_url, known) in &mut self.types {
            let before = known.len();
            let Some(held) = held.get(type_url) else {
                continue;
            };
            known.retain(|name, _| held.contains(name));
            if known.len() != before {
                self.changed.insert(type_url.clone());
            }
        }
    }

    /// Marks the versions that Envoy holds and that are not known here, so that the
    /// operator sends them again: after a lost acknowledgement or a damaged file
    /// they would otherwise stay unknown for as long as they do not change.
    ///
    /// The mark stands before the `@` behind which a scope's version names its
    /// table, which the operator reads.
    pub(crate) fn mark_unknown(&self, type_url: &str, versions: &mut HashMap<String, String>) {
        for (name, version) in versions {
            let known = self.get(type_url, name);
            if known.is_none_or(|known| known.version != *version) {
                let at = version.find('@').unwrap_or(version.len());
                version.insert(at, '?');
            }
        }
    }

    /// What is known of a type.
    pub(crate) fn of(&self, type_url: &str) -> impl Iterator<Item = &Resource> {
        self.types
            .get(type_url)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// One resource.
    pub(crate) fn get(&self, type_url: &str, name: &str) -> Option<&Resource> {
        self.types.get(type_url)?.get(name)
    }

    /// The types that changed since the last call, whole. Tables come last, for the
    /// readiness table is one: a process killed between two files must not leave
    /// it behind without what it vouches for.
    pub(crate) fn take_changed(&mut self) -> Vec<DeltaDiscoveryResponse> {
        let mut changed: Vec<String> = std::mem::take(&mut self.changed).into_iter().collect();
        changed.sort_by_key(|type_url| type_url == Kind::RouteTable.type_url());
        changed
            .into_iter()
            .map(|type_url| DeltaDiscoveryResponse {
                resources: self.of(&type_url).cloned().collect(),
                type_url,
                ..DeltaDiscoveryResponse::default()
            })
            .collect()
    }

    /// Marks types as not written after all.
    pub(crate) fn mark_changed(&mut self, types: impl IntoIterator<Item = String>) {
        self.changed.extend(types);
    }
}

/// Names and numbers only: what is inside may be a key.
impl fmt::Debug for LastKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.types.iter().map(|(kind, known)| (kind, known.len()));
        f.debug_map().entries(counts).finish()
    }
}

/// Where the body of a resource is not needed.
#[cfg(test)]
pub(crate) fn resource(name: &str, version: &str, type_url: &str) -> Resource {
    Resource {
        name: name.to_owned(),
        version: version.to_owned(),
        resource: Some(Any {
            type_url: type_url.to_owned(),
            value: Bytes::copy_from_slice(version.as_bytes()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "type.example/table";

    fn response(resources: &[(&str, &str)], removed: &[&str]) -> DeltaDiscoveryResponse {
        DeltaDiscoveryResponse {
            type_url: TABLE.to_owned(),
            resources: resources
                .iter()
                .map(|(n, v)| resource(n, v, TABLE))
                .collect(),
            removed_resources: removed.iter().map(|n| (*n).to_owned()).collect(),
            ..DeltaDiscoveryResponse::default()
        }
    }

    fn names(known: &LastKnown) -> Vec<&str> {
        known.of(TABLE).map(|r| r.name.as_str()).collect()
    }

    #[test]
    fn what_was_acknowledged_is_known_and_what_was_removed_is_not() {
        let mut known = LastKnown::default();
        assert!(known.is_empty());
        known.apply(response(&[("a", "1"), ("b", "1")], &[]));
        known.apply(response(&[("a", "2")], &["b"]));
        assert_eq!(names(&known), ["a"]);
        assert_eq!(known.get(TABLE, "a").map(|r| r.version.as_str()), Some("2"));
        assert_eq!(known.take_changed().len(), 1);
        assert!(known.take_changed().is_empty(), "nothing since");
        known.apply(response(&[], &[]));
        assert!(
            known.take_changed().is_empty(),
            "an empty response changes nothing"
        );
    }

    #[test]
    fn what_envoy_lets_go_of_is_forgotten() {
        let mut known = LastKnown::default();
        known.apply(response(&[("a", "1"), ("b", "1"), ("c", "1")], &[]));
        known.take_changed();
        known.forget(TABLE, [String::from("a"), String::from("z")].iter());
        assert_eq!(names(&known), ["b", "c"]);
        let held = HashMap::from([(TABLE.to_owned(), BTreeSet::from(["c".to_owned()]))]);
        known.keep_only(&held);
        assert_eq!(names(&known), ["c"]);
        assert_eq!(known.take_changed().len(), 1);
        known.keep_only(&held);
        assert!(known.take_changed().is_empty());
    }

    #[test]
    fn a_body_never_shows_itself() {
        let mut known = LastKnown::default();
        known.apply(response(&[("a", "secret-body")], &[]));
        assert!(!format!("{known:?}").contains("secret-body"));
    }
}
