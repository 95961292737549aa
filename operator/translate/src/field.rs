//! Paths of fields, as a reader of the manifest would point at them.

use std::fmt;

/// `spec.rules[…]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtRule(pub(crate) usize);

/// `spec.rules[…].http.paths[…]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtPath {
    pub(crate) rule: usize,
    pub(crate) path: usize,
}

/// `spec.rules[…].http.paths[…].splits[…]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtSplit {
    pub(crate) path: AtPath,
    pub(crate) split: usize,
}

impl AtRule {
    pub(crate) fn path(self, path: usize) -> AtPath {
        AtPath { rule: self.0, path }
    }
}

impl AtPath {
    pub(crate) fn split(self, split: usize) -> AtSplit {
        AtSplit { path: self, split }
    }
}

impl fmt::Display for AtRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.rules[{}]", self.0)
    }
}

impl fmt::Display for AtPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.http.paths[{}]", AtRule(self.rule), self.path)
    }
}

impl fmt::Display for AtSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.splits[{}]", self.path, self.split)
    }
}

/// A text from a manifest between quotes, on one line and short enough to read.
pub(crate) fn quote(text: &str) -> String {
    match cut(text) {
        None => format!("{text:?}"),
        Some(start) => format!("{start:?}… ({} bytes)", text.len()),
    }
}

/// A text that is quoted already, short enough to read.
pub(crate) fn shorten(text: String) -> String {
    match cut(&text) {
        None => text,
        Some(start) => format!("{start}… ({} bytes)", text.len()),
    }
}

/// The start of a text that is too long to show.
fn cut(text: &str) -> Option<&str> {
    const LONGEST: usize = 100;
    let (end, _) = text.char_indices().nth(LONGEST)?;
    text.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_the_manifest() {
        let split = AtRule(1).path(2).split(3);
        assert_eq!(split.to_string(), "spec.rules[1].http.paths[2].splits[3]");
    }

    #[test]
    fn quotes_on_one_line_and_cuts_between_characters() {
        assert_eq!(quote("a\nb"), r#""a\nb""#);
        assert_eq!(quote(&"é".repeat(100)), format!("{:?}", "é".repeat(100)));
        assert!(quote(&"é".repeat(101)).ends_with("é\"… (202 bytes)"));
        assert_eq!(shorten("é".repeat(100)), "é".repeat(100));
        assert!(shorten("é".repeat(101)).ends_with("é… (202 bytes)"));
    }
}
