//! What is wrong with a file, said so that it can be found and mended.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One thing about a file that the reader of the screen should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The file, as it was named: below the folder, or as given.
    pub file: PathBuf,
    /// Line, from 1; absent where the whole file is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// How much it matters.
    pub severity: Severity,
    /// The kind of fault.
    pub reason: FaultReason,
    /// The object, such as `ingress default/hello`; absent where the file does
    /// not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The field's path, such as `spec.rules[0].hosts`; absent where the whole
    /// object is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was found, what was expected, what to do.
    pub message: String,
}

/// How much a [`Fault`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something is not read; `sluice translate` fails.
    Error,
    /// Read all the same.
    Warning,
    /// Left alone, as it should be.
    Note,
}

/// The kinds of [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum FaultReason {
    /// The file cannot be opened or read.
    Unreadable,
    /// The file is larger than [`crate::MAX_FILE_BYTES`], or the folder holds
    /// more files than [`crate::MAX_FILES`].
    TooLarge,
    /// The bytes are no UTF-8.
    NotText,
    /// A link leads back to a folder that is read already.
    LinkLoop,
    /// The text is no YAML or JSON.
    Syntax,
    /// A document that is no Kubernetes object.
    NotAnObject,
    /// A field that must be there is not.
    MissingField,
    /// A name or namespace that the API server would not take.
    InvalidName,
    /// A value of another type than the field has.
    WrongType,
    /// An `apiVersion` that is not read for a kind that is.
    WrongVersion,
    /// A field that the kind does not have.
    UnknownField,
    /// The same object twice.
    Duplicate,
    /// A kind that is not read here.
    KindNotRead,
    /// An Ingress of another class.
    OtherClass,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}
