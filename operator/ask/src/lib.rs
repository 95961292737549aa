//! What people ask of a cluster with Sluice in it, and the answers.
//!
//! *Reads* the operator's own pages (`/status/v1/…`), through a port forwarded to
//! the replica that leads, and objects of the API server. *Gives* reports: as text
//! for people, as JSON for programs. *Never* writes to a cluster, shows a Secret,
//! or decides what an Ingress means: that is told by the operator.
//!
//! [`page`] has the pages as they are read, [`Pages`] gets them and [`Objects`] the
//! objects: only these two speak to a cluster. All else is a pure function of what
//! was gathered, with golden pairs in `testdata`.
//!
//! Start at [`Report`] (`sluice check`), [`Status`], [`Explanation`], [`Answer`]
//! (`sluice why`).

mod check;
mod error;
mod explain;
mod gather;
mod object;
mod objects;
mod operator;
pub mod page;
mod status;
mod table;
mod why;

pub use check::{Certificate, Code, Facts, Finding, Report, Right, Severity, facts, table};
pub use error::AskError;
pub use explain::{Cause, Explanation, Gathered, Step, Subject, SubjectKind};
pub use gather::{gather, known};
pub use object::Object;
pub use objects::{Kind, Objects};
pub use operator::{Build, Pages, version_of_image};
pub use status::Status;
pub use why::{Answer, From, Known, Outcome, Request, RequestError, Share, Way};
