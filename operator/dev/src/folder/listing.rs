//! Which files below a folder are manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{MAX_FILES, Stamp};
use crate::fault::{Fault, FaultReason, Severity};

/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 32;

/// The manifests below a folder, by path below it.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Found>,
    /// Folders that could not be listed: nothing is known of what is below.
    pub(super) unread: Vec<PathBuf>,
    pub(super) linked: bool,
    pub(super) faults: Vec<Fault>,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) stamp: Stamp,
    /// The file itself is a link.
    pub(super) linked: bool,
}

/// Whether a file of this name is read: `.yaml`, `.yml`, `.json`, not hidden.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["yaml", "yml", "json"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
        && !path.file_name().is_some_and(is_hidden)
}

/// Hidden names are not looked at: version control, editors' swap files, the
/// inner folders of a mounted ConfigMap.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

impl Listing {
    /// Lists a folder, following links, each folder once.
    pub(super) fn of(root: &Path) -> Self {
        let mut listing = Self::default();
        let mut seen = BTreeSet::new();
        let mut pending = vec![(PathBuf::new(), 0_usize)];
        while let Some((folder, depth)) = pending.pop() {
            match fs::canonicalize(root.join(&folder)) {
                Ok(real) => {
                    if !seen.insert(real) {
                        listing.fault(
                            folder,
                            FaultReason::LinkLoop,
                            "a link to a folder that is read already; not followed",
                        );
                        continue;
                    }
                }
                Err(error) => {
                    listing.unlisted(folder, &error);
                    continue;
                }
            }
            if depth > MAX_DEPTH {
                listing.fault(
                    folder,
                    FaultReason::TooLarge,
                    &format!("more than {MAX_DEPTH} folders deep; not read"),
                );
                continue;
            }
            let below = listing.folder(root, folder);
            pending.extend(below.into_iter().rev().map(|folder| (folder, depth + 1)));
            if listing.files.len() > MAX_FILES {
                while listing.files.len() > MAX_FILES {
                    listing.files.pop_last();
                }
                listing.fault(
                    PathBuf::new(),
                    FaultReason::TooLarge,
                    &format!("more than {MAX_FILES} manifests; the rest is not read"),
                );
                break;
            }
        }
        listing
    }

    /// Lists one folder; gives the folders in it, sorted.
    fn folder(&mut self, root: &Path, folder: PathBuf) -> Vec<PathBuf> {
        let entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(error) => {
                self.unlisted(folder, &error);
                return Vec::new();
            }
        };
        let mut names: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name())
            .filter(|name| !is_hidden(name))
            .collect();
        names.sort();
        let mut folders = Vec::new();
        for name in names {
            let path = folder.join(&name);
            let absolute = root.join(&path);
            let link = fs::symlink_metadata(&absolute).is_ok_and(|m| m.file_type().is_symlink());
            match fs::metadata(&absolute) {
                Ok(metadata) if metadata.is_dir() => {
                    self.linked |= link;
                    folders.push(path);
                }
                Ok(metadata) if is_manifest(&path) && metadata.is_file() => {
                    self.linked |= link;
                    let found = Found {
                        stamp: stamp(&metadata),
                        linked: link,
                    };
                    self.files.insert(path, found);
                }
                Ok(_) if is_manifest(&path) => {
                    self.fault(path, FaultReason::Unreadable, "not a file; not read");
                }
                Err(error) if is_manifest(&path) && error.kind() != io::ErrorKind::NotFound => {
                    let message = format!("cannot be read: {error}");
                    self.fault(path, FaultReason::Unreadable, &message);
                }
                Err(_) if is_manifest(&path) && link => {
                    self.fault(path, FaultReason::Unreadable, "a link that leads nowhere");
                }
                _ => {}
            }
        }
        folders
    }

    fn unlisted(&mut self, folder: PathBuf, error: &io::Error) {
        let message = format!("cannot be listed: {error}; what was read last from it stays");
        self.fault(folder.clone(), FaultReason::Unreadable, &message);
        self.unread.push(folder);
    }

    fn fault(&mut self, path: PathBuf, reason: FaultReason, message: &str) {
        let file = if path.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            path
        };
        self.faults.push(Fault {
            file,
            line: None,
            column: None,
            severity: Severity::Error,
            reason,
            object: None,
            field: None,
            message: message.to_owned(),
        });
    }
}

#[cfg(unix)]
fn stamp(metadata: &Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    Stamp {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        inode: metadata.ino(),
    }
}

#[cfg(not(unix))]
fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        inode: 0,
    }
}
