//! A response that is being filled, within its limits.

use super::subscription::{Atom, Step};
use crate::Settings;

/// A response that is being filled.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) atoms: Vec<Atom>,
    parts: usize,
    bytes: usize,
    /// Stopped at the size limit.
    pub(super) full: bool,
    /// Something that was due turned out to be settled.
    pub(super) settled: bool,
}

impl Batch {
    /// Adds an atom, or reports that it must wait for the next response.
    pub(super) fn push(&mut self, atom: Atom, settings: &Settings) -> Result<(), Atom> {
        let bytes: usize = atom.steps.iter().map(Step::bytes).sum();
        let over = self.parts + atom.steps.len() > settings.response_resources
            || self.bytes + bytes > settings.response_bytes;
        if over && !self.atoms.is_empty() {
            self.full = true;
            return Err(atom);
        }
        self.parts += atom.steps.len();
        self.bytes += bytes;
        self.atoms.push(atom);
        Ok(())
    }
}

impl Step {
    fn bytes(&self) -> usize {
        match self {
            Step::Put(put) => put.content.body.len(),
            Step::Remove(name) => name.len(),
        }
    }
}
