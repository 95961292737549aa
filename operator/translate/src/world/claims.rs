//! Who owns a host: the same answer on every replica, in any order of events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sluice_ir::{Host, ObjectKey, Side};

use crate::Ownership;

/// A host on one side: the unit of ownership, as Envoy's scopes are.
pub(super) type Claim = (Side, Host);

/// Why one claimant stands before another: a namespace before others for names
/// that could be its own, then age, then namespace and name. `None` for the age
/// (a manifest that no API server stored) counts as oldest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    foreign: bool,
    created: Option<Timestamp>,
    ingress: ObjectKey,
}

/// What a host name says about the namespace it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locality<'a> {
    /// `….ns.svc` and `….ns.svc.<suffix>`: no other namespace may ever own it.
    Only(&'a str),
    /// `name.ns`: could be a public domain as well (`example.com`), so the
    /// namespace merely stands first.
    First(&'a str),
    /// Nothing.
    Free,
}

/// All claims of all Ingresses.
#[derive(Debug)]
pub(super) struct Claims {
    /// `.svc.<suffix>`.
    long_suffix: String,
    claimants: BTreeMap<Claim, BTreeSet<Rank>>,
    by_ingress: BTreeMap<ObjectKey, (Option<Timestamp>, BTreeSet<Claim>)>,
}

impl Claims {
    pub(super) fn new(cluster_suffix: &str) -> Self {
        Self {
            long_suffix: format!(".svc.{}", cluster_suffix.to_ascii_lowercase()),
            claimants: BTreeMap::new(),
            by_ingress: BTreeMap::new(),
        }
    }

    /// Replaces all claims of one Ingress; an empty set lets it go. Gives the
    /// hosts whose owner changed.
    pub(super) fn replace(
        &mut self,
        ingress: &ObjectKey,
        created: Option<Timestamp>,
        claims: BTreeSet<Claim>,
    ) -> BTreeSet<Claim> {
        let (old_created, old) = self.by_ingress.remove(ingress).unwrap_or_default();
        let touched: Vec<Claim> = if old_created == created {
            old.symmetric_difference(&claims).cloned().collect()
        } else {
            old.union(&claims).cloned().collect()
        };
        let mut changed = BTreeSet::new();
        for claim in touched {
            let before = self.owner(&claim).cloned();
            if old.contains(&claim) {
                self.withdraw(&claim, ingress, old_created);
            }
            if claims.contains(&claim)
                && let Some(rank) = self.rank(&claim.1, ingress, created)
            {
                self.claimants
                    .entry(claim.clone())
                    .or_default()
                    .insert(rank);
            }
            if self.owner(&claim) != before.as_ref() {
                changed.insert(claim);
            }
        }
        if !claims.is_empty() {
            self.by_ingress.insert(ingress.clone(), (created, claims));
        }
        changed
    }

    /// The Ingress that owns a host on a side.
    pub(super) fn owner(&self, claim: &Claim) -> Option<&ObjectKey> {
        Some(&self.claimants.get(claim)?.first()?.ingress)
    }

    /// Every Ingress that may own a host on a side, the owner first.
    pub(super) fn claimants(&self, claim: &Claim) -> impl Iterator<Item = &ObjectKey> {
        self.claimants
            .get(claim)
            .into_iter()
            .flatten()
            .map(|rank| &rank.ingress)
    }

    /// What a claim of one Ingress comes to.
    pub(super) fn ownership(&self, claim: &Claim, ingress: &ObjectKey) -> Ownership {
        if let Locality::Only(namespace) = self.locality(&claim.1)
            && namespace != ingress.namespace
        {
            return Ownership::Foreign {
                namespace: namespace.to_owned(),
            };
        }
        match self.owner(claim) {
            Some(owner) if owner != ingress => Ownership::Conflict {
                owner: owner.clone(),
            },
            _ => Ownership::Owned,
        }
    }

    fn withdraw(&mut self, claim: &Claim, ingress: &ObjectKey, created: Option<Timestamp>) {
        let Some(rank) = self.rank(&claim.1, ingress, created) else {
            return;
        };
        if let Some(ranks) = self.claimants.get_mut(claim) {
            ranks.remove(&rank);
            if ranks.is_empty() {
                self.claimants.remove(claim);
            }
        }
    }

    /// `None` where the Ingress may never own the host.
    fn rank(&self, host: &Host, ingress: &ObjectKey, created: Option<Timestamp>) -> Option<Rank> {
        let foreign = match self.locality(host) {
            Locality::Only(namespace) if namespace != ingress.namespace => return None,
            Locality::First(namespace) => namespace != ingress.namespace,
            Locality::Only(_) | Locality::Free => false,
        };
        Some(Rank {
            foreign,
            created,
            ingress: ingress.clone(),
        })
    }

    fn locality<'a>(&self, host: &'a Host) -> Locality<'a> {
        let host = host.as_str();
        let local = host
            .strip_suffix(self.long_suffix.as_str())
            .or_else(|| host.strip_suffix(".svc"));
        if let Some(local) = local {
            return Locality::Only(local.rsplit('.').next().unwrap_or(local));
        }
        match host.split_once('.') {
            Some((_, namespace)) if !namespace.contains('.') => Locality::First(namespace),
            _ => Locality::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(host: &str) -> Claim {
        (Side::Internal, Host::parse(host).unwrap())
    }

    fn set(hosts: &[&str]) -> BTreeSet<Claim> {
        hosts.iter().map(|host| claim(host)).collect()
    }

    fn key(text: &str) -> ObjectKey {
        text.parse().unwrap()
    }

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_oldest_owns_whatever_the_order() {
        for order in [["a/late", "b/early"], ["b/early", "a/late"]] {
            let mut claims = Claims::new("cluster.local");
            for ingress in order {
                let created = if ingress == "b/early" { at(1) } else { at(2) };
                claims.replace(&key(ingress), created, set(&["x.example.com"]));
            }
            assert_eq!(claims.owner(&claim("x.example.com")), Some(&key("b/early")));
        }
    }

    #[test]
    fn equal_age_falls_to_namespace_and_name() {
        let mut claims = Claims::new("cluster.local");
        claims.replace(&key("b/x"), at(1), set(&["x.example.com"]));
        let changed = claims.replace(&key("a/x"), at(1), set(&["x.example.com"]));
        assert_eq!(changed, set(&["x.example.com"]));
        assert_eq!(
            claims.ownership(&claim("x.example.com"), &key("b/x")),
            Ownership::Conflict { owner: key("a/x") }
        );
    }

    #[test]
    fn local_names_belong_to_their_namespace_alone() {
        let mut claims = Claims::new("example.internal");
        let hosts = ["x.victim.svc", "x.victim.svc.example.internal"];
        claims.replace(&key("thief/t"), at(1), set(&hosts));
        for host in hosts {
            assert_eq!(claims.owner(&claim(host)), None);
            assert_eq!(
                claims.ownership(&claim(host), &key("thief/t")),
                Ownership::Foreign {
                    namespace: "victim".into()
                }
            );
        }
        claims.replace(&key("victim/x"), at(2), set(&hosts));
        assert_eq!(claims.owner(&claim(hosts[0])), Some(&key("victim/x")));
    }

    #[test]
    fn two_labels_prefer_their_namespace_but_may_be_a_domain() {
        let mut claims = Claims::new("cluster.local");
        claims.replace(&key("web/apex"), at(1), set(&["example.com"]));
        assert_eq!(claims.owner(&claim("example.com")), Some(&key("web/apex")));
        claims.replace(&key("com/example"), at(2), set(&["example.com"]));
        assert_eq!(
            claims.owner(&claim("example.com")),
            Some(&key("com/example"))
        );
    }

    #[test]
    fn letting_go_hands_over() {
        let mut claims = Claims::new("cluster.local");
        claims.replace(&key("a/x"), at(1), set(&["x.example.com", "y.example.com"]));
        claims.replace(&key("b/x"), at(2), set(&["x.example.com"]));
        let changed = claims.replace(&key("a/x"), at(1), set(&["y.example.com"]));
        assert_eq!(changed, set(&["x.example.com"]));
        assert_eq!(claims.owner(&claim("x.example.com")), Some(&key("b/x")));
        claims.replace(&key("b/x"), at(2), BTreeSet::new());
        assert_eq!(claims.owner(&claim("x.example.com")), None);
    }
}
