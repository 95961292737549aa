//! dev
#![allow(dead_code)]

mod fault;
mod folder;
mod manifest;
mod watch;

pub use fault::{Fault, FaultReason, Severity};
pub use folder::{MAX_FILE_BYTES, MAX_FILES};
