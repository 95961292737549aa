//! Which features a resource uses, as a fingerprint.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::Kind;

/// Gathers features while a resource is built. Two resources of one shape
/// differ in values only, so that what one gateway made of the one tells what
/// it will make of the other.
pub(crate) struct Shape {
    kind: Kind,
    features: BTreeSet<String>,
}

impl Shape {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            features: BTreeSet::new(),
        }
    }

    pub(crate) fn add(&mut self, feature: &str) {
        if !self.features.contains(feature) {
            self.features.insert(feature.to_owned());
        }
    }

    /// The classes of characters in a value that a user wrote: a gateway may
    /// refuse a character that no value before had.
    pub(crate) fn add_text(&mut self, field: &str, text: &str) {
        for c in text.chars() {
            let class = match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '/' => continue,
                c if c.is_ascii() => c.to_string(),
                _ => "unicode".to_owned(),
            };
            self.add(&format!("{field}:{class}"));
        }
    }

    /// The fingerprint; never 0, which stands for "no content".
    pub(crate) fn finish(self) -> u64 {
        let mut digest = Sha256::new();
        digest.update(self.kind.type_url());
        for feature in &self.features {
            digest.update([0]);
            digest.update(feature);
        }
        let digest = digest.finalize();
        let first = digest
            .iter()
            .take(8)
            .fold(0, |sum, b| (sum << 8) | u64::from(*b));
        first.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(features: &[&str], text: &str) -> u64 {
        let mut shape = Shape::new(Kind::RouteTable);
        for feature in features {
            shape.add(feature);
        }
        shape.add_text("value", text);
        shape.finish()
    }

    #[test]
    fn values_do_not_count_but_features_and_odd_characters_do() {
        assert_eq!(of(&["a", "b"], "one"), of(&["b", "a", "a"], "Two-2.0/x"));
        assert_ne!(of(&["a"], "one"), of(&["a", "b"], "one"));
        assert_ne!(of(&["a"], "one"), of(&["a"], "one;"));
        assert_ne!(of(&["a"], "one;"), of(&["a"], "one é"));
        assert_ne!(Shape::new(Kind::Cluster).finish(), of(&[], ""));
    }
}
