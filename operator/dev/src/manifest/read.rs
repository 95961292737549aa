//! One file's bytes to all objects in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sluice_translate::Object;

use super::document::{Outcome, Remark, Strictness, Unwrapped, document, is_object, unwrapped};
use super::node::{Node, parse};
use super::object::ObjectId;
use crate::fault::{Fault, FaultReason, Severity};

/// What one file holds.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The objects that were read well.
    pub(crate) objects: BTreeMap<ObjectId, Located>,
    /// Objects that the file holds but that are not readable.
    pub(crate) broken: BTreeSet<ObjectId>,
    /// Whether some of the file could not even be told apart into objects.
    pub(crate) unclear: bool,
    /// Faults, in file order.
    pub(crate) faults: Vec<Fault>,
}

/// An object and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) object: Object,
    /// First line of its document, from 1.
    pub(crate) line: u64,
}

/// Reads the bytes of a file; `file` is its name in faults.
pub(crate) fn read(file: &Path, bytes: &[u8], strictness: Strictness) -> Reading {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return not_text(file, bytes, error.valid_up_to()),
    };
    let documents = match parse(text) {
        Ok(documents) => documents,
        Err(error) => {
            return Reading {
                unclear: true,
                faults: vec![Fault {
                    file: file.to_owned(),
                    line: error.line,
                    column: error.column,
                    severity: Severity::Error,
                    reason: FaultReason::Syntax,
                    object: None,
                    field: None,
                    message: format!("not YAML or JSON: {}", error.message),
                }],
                ..Reading::default()
            };
        }
    };
    let mut reading = Reading::default();
    for node in documents {
        take(&mut reading, file, node, strictness);
    }
    reading
}

/// The place of each field of one object, to say where a verdict points.
pub(crate) struct Places(Node);

impl Places {
    /// Finds an object in the bytes of a file; the first, as [`read`] does.
    pub(crate) fn of(bytes: &[u8], id: &ObjectId) -> Option<Self> {
        let mut pending = parse(std::str::from_utf8(bytes).ok()?).ok()?;
        pending.reverse();
        while let Some(node) = pending.pop() {
            match unwrapped(node) {
                Unwrapped::List(items) => pending.extend(items.into_iter().rev()),
                Unwrapped::Object(node) if is_object(&node, id) => return Some(Self(node)),
                Unwrapped::Object(_) => {}
            }
        }
        None
    }

    /// The line of a field, or of what of its path there is.
    pub(crate) fn line(&self, field: &str) -> u64 {
        self.0.place_of(field).0
    }
}

fn not_text(file: &Path, bytes: &[u8], valid: usize) -> Reading {
    let good = bytes.get(..valid).unwrap_or_default();
    let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
    Reading {
        unclear: true,
        faults: vec![Fault {
            file: file.to_owned(),
            line: u64::try_from(line).ok(),
            column: u64::try_from(column).ok(),
            severity: Severity::Error,
            reason: FaultReason::NotText,
            object: None,
            field: None,
            message: "found bytes that are not UTF-8; save the file as UTF-8 text".into(),
        }],
        ..Reading::default()
    }
}

/// Reads a document, and those within it if it is a list, into `reading`.
fn take(reading: &mut Reading, file: &Path, node: Node, strictness: Strictness) {
    let line = node.line;
    let read = document(node, strictness);
    reading
        .faults
        .extend(read.faults.into_iter().map(|remark| remark.of(file)));
    match (read.outcome, read.id) {
        (Outcome::Object(object), Some(id)) => {
            if let Some(first) = reading.objects.get(&id) {
                let message = format!(
                    "the same object as at line {}; this one is left out, remove one of them",
                    first.line
                );
                reading.faults.push(duplicate(file, line, &id, message));
            } else {
                let object = *object;
                reading.objects.insert(id, Located { object, line });
            }
        }
        (Outcome::Broken, Some(id)) => {
            reading.broken.insert(id);
        }
        (Outcome::Broken, None) | (Outcome::Object(_), None) => reading.unclear = true,
        (Outcome::LeftAlone, _) => {}
        (Outcome::List(items), _) => {
            for item in items {
                take(reading, file, item, strictness);
            }
        }
    }
}

/// The fault of an object that is there twice.
pub(crate) fn duplicate(file: &Path, line: u64, id: &ObjectId, message: String) -> Fault {
    Fault {
        file: file.to_owned(),
        line: Some(line),
        column: None,
        severity: Severity::Error,
        reason: FaultReason::Duplicate,
        object: Some(id.to_string()),
        field: None,
        message,
    }
}

impl Remark {
    fn of(self, file: &Path) -> Fault {
        let (line, column) = self.place;
        Fault {
            file: file.to_owned(),
            line: (line > 0).then_some(line),
            column: (column > 0).then_some(column),
            severity: self.severity,
            reason: self.reason,
            object: self.object,
            field: self.field,
            message: self.message,
        }
    }
}
