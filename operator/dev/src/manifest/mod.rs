//! Text to objects: everything about manifests that needs no file system.
//!
//! ```text
//! bytes ──► text ──► node (a tree with places) ──► document ──► Object
//!                        │ typed: the field and place of a wrong value
//! ```
//!
//! Nothing here fails as a whole: a document that cannot be read is a
//! [`Fault`](crate::Fault), and its neighbours are read.

mod document;
mod node;
mod object;
mod read;
#[cfg(test)]
mod tests;
mod typed;

pub(crate) use document::Strictness;
pub(crate) use object::ObjectId;
pub(crate) use read::{Located, Places, Reading, duplicate, read};
