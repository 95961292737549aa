//! Whom backends are trusted by, when Serving's `system-internal-tls` has them
//! speak TLS.

use std::collections::BTreeMap;

use sluice_translate::{Backends, trust_roots};

use crate::watch::{Roots, RootsPlace};

/// Roots by the place that they stand in, and what was made of them.
#[derive(Debug, Default)]
pub(super) struct Trust {
    places: BTreeMap<RootsPlace, Roots>,
    differ: bool,
    /// The newest roots that were there: they stay when no place has any more, for
    /// backends go on showing the certificates that they have.
    known: Option<String>,
}

/// What changed for gateways and plans.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trusted<'a> {
    /// New roots for gateways.
    pub(super) roots: Option<&'a str>,
    pub(super) backends: Backends,
}

impl Trust {
    pub(super) fn take(&mut self, place: RootsPlace, roots: Option<Roots>) {
        if self.places.get(&place) == roots.as_ref() {
            return;
        }
        self.differ = true;
        match roots {
            Some(roots) => self.places.insert(place, roots),
            None => self.places.remove(&place),
        };
    }

    /// What follows from `tls`, whether backends speak TLS, and from the roots.
    pub(super) fn settle(&mut self, tls: bool) -> Trusted<'_> {
        if !tls {
            // Looked at anew should it be switched on.
            self.differ = true;
            return Trusted {
                roots: None,
                backends: Backends::Plain,
            };
        }
        let mut roots = None;
        if std::mem::take(&mut self.differ) {
            let read = trust_roots(self.texts().iter().map(|(place, text)| (&**place, *text)));
            for fault in &read.faults {
                tracing::warn!("roots of backends: {fault}");
            }
            match read.pem {
                None if self.known.is_some() => tracing::warn!(
                    "roots of backends: none are left; those that were there before stay"
                ),
                None => {}
                Some(pem) if self.known.as_ref() == Some(&pem) => {}
                Some(pem) => {
                    self.known = Some(pem);
                    roots = self.known.as_deref();
                }
            }
        }
        let backends = match self.known {
            Some(_) => Backends::Tls,
            None => Backends::Untrusted,
        };
        Trusted { roots, backends }
    }

    /// Each text, and where it stands.
    fn texts(&self) -> Vec<(String, &[u8])> {
        let mut texts = Vec::new();
        for (RootsPlace { source, key }, roots) in &self.places {
            for (entry, text) in roots {
                texts.push((format!("{source}: {key}: data[{entry}]"), text.as_slice()));
            }
        }
        texts
    }
}
