//! A folder of manifests as a set of objects that follows its files.
//!
//! Each file stands for the objects that were last read well from it: a fault
//! takes down nothing that served before. The same object in two files is served
//! from the first in sorted order.

mod listing;
#[cfg(test)]
mod tests;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sluice_ir::ObjectKey;
use sluice_translate::{Object, ObjectKind};

use self::listing::{Found, Listing};
pub(crate) use self::listing::{is_hidden, is_manifest};
use crate::fault::{Fault, FaultReason, Severity};
use crate::manifest::{Located, ObjectId, Reading, Strictness, duplicate, read};
use crate::offline::Source;

/// The largest file that is read, in bytes: five times what the API server
/// takes as one object.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// The most manifest files that are read below one folder.
pub const MAX_FILES: usize = 20_000;

/// A file changed this recently may change again without a new time stamp.
const STAMP_GRAIN: Duration = Duration::from_secs(2);

/// What differs after a look at the folder.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// New or changed objects.
    pub(crate) applied: Vec<Arc<Object>>,
    /// Objects that are no more.
    pub(crate) deleted: Vec<(ObjectKind, ObjectKey)>,
    /// All faults as they are now, sorted by file and line.
    pub(crate) faults: Vec<Fault>,
}

/// The folder as last read.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    files: BTreeMap<PathBuf, Manifests>,
    served: BTreeMap<ObjectId, Arc<Object>>,
    /// Whether some file is reached over a link, where no watch sees changes.
    linked: bool,
}

/// One file as last read.
#[derive(Debug, Default)]
struct Manifests {
    stamp: Option<Stamp>,
    fingerprint: Option<u64>,
    objects: BTreeMap<ObjectId, Standing>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Standing {
    object: Arc<Object>,
    line: u64,
}

/// What tells cheaply whether a file is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) length: u64,
    pub(crate) modified: Option<SystemTime>,
    pub(crate) inode: u64,
}

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            files: BTreeMap::new(),
            served: BTreeMap::new(),
            linked: false,
        }
    }

    /// Whether some file is reached over a link.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    /// How many files and objects are read.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.files.len(), self.served.len())
    }

    /// The file that an object is served from: its name and what is in it now.
    pub(crate) fn file_of(&self, id: &ObjectId) -> Option<(PathBuf, Vec<u8>)> {
        let (path, _) = self
            .files
            .iter()
            .find(|(_, manifests)| manifests.objects.contains_key(id))?;
        let bytes = bytes_of(&self.root.join(path), 0).ok()?;
        Some((path.clone(), bytes))
    }

    /// Looks at the folder again. Files in `named` (absolute paths) are read
    /// whatever their stamp says; files in `writing` are left for later.
    pub(crate) fn refresh(
        &mut self,
        named: &BTreeSet<PathBuf>,
        writing: &BTreeSet<PathBuf>,
    ) -> Change {
        let listing = Listing::of(&self.root);
        self.linked = listing.linked;
        self.files.retain(|path, _| {
            listing.files.contains_key(path)
                || listing.unread.iter().any(|unread| path.starts_with(unread))
        });
        for (path, found) in &listing.files {
            let absolute = self.root.join(path);
            // A link is made at once, whatever is written behind it.
            if writing.contains(&absolute) && !found.linked {
                continue;
            }
            let known = self.files.get(path);
            if !named.contains(&absolute)
                && known.is_some_and(|known| known.stamp == Some(found.stamp))
            {
                continue;
            }
            self.reread(path, &absolute, found);
        }
        self.settle(listing.faults)
    }

    fn reread(&mut self, path: &Path, absolute: &Path, found: &Found) {
        let now = SystemTime::now();
        let manifests = self.files.entry(path.to_owned()).or_default();
        let bytes = match bytes_of(absolute, found.stamp.length) {
            Ok(bytes) => bytes,
            Err(Trouble::Gone) => {
                self.files.remove(path);
                return;
            }
            Err(trouble) => {
                manifests.stamp = None;
                manifests.fingerprint = None;
                manifests.faults = vec![file_fault(path, trouble)];
                return;
            }
        };
        let recent = found.stamp.modified.is_none_or(|modified| {
            now.duration_since(modified)
                .map_or(true, |age| age < STAMP_GRAIN)
        });
        manifests.stamp = (!recent).then_some(found.stamp);
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let fingerprint = Some(hasher.finish());
        if manifests.fingerprint == fingerprint {
            return;
        }
        manifests.fingerprint = fingerprint;
        manifests.take(read(path, &bytes, Strictness::Warn));
    }

    /// Decides which file serves each object, and says what differs.
    fn settle(&mut self, mut faults: Vec<Fault>) -> Change {
        let mut first: BTreeMap<&ObjectId, (&Path, &Standing)> = BTreeMap::new();
        for (path, manifests) in &self.files {
            faults.extend(manifests.faults.iter().cloned());
            for (id, standing) in &manifests.objects {
                if let Some((winner, at)) = first.get(id) {
                    let message = format!(
                        "the same object as in {}:{}, which is served; this one is left out, \
                         remove one of them",
                        winner.display(),
                        at.line
                    );
                    faults.push(duplicate(path, standing.line, id, message));
                } else {
                    first.insert(id, (path, standing));
                }
            }
        }
        faults.sort();
        let served: BTreeMap<ObjectId, Arc<Object>> = first
            .into_iter()
            .map(|(id, (_, standing))| (id.clone(), Arc::clone(&standing.object)))
            .collect();
        let applied = served
            .iter()
            .filter(|(id, object)| {
                !self
                    .served
                    .get(id)
                    .is_some_and(|before| Arc::ptr_eq(before, object))
            })
            .map(|(_, object)| Arc::clone(object))
            .collect();
        let deleted = self
            .served
            .keys()
            .filter(|id| !served.contains_key(*id))
            .map(|id| (id.kind, id.key.clone()))
            .collect();
        self.served = served;
        Change {
            applied,
            deleted,
            faults,
        }
    }
}

impl Manifests {
    /// Takes a new reading; what is broken or unclear in it stays as it was.
    fn take(&mut self, reading: Reading) {
        let mut before = std::mem::take(&mut self.objects);
        self.faults = reading.faults;
        for (id, Located { object, line }) in reading.objects {
            let object = match before.remove(&id) {
                Some(standing) if same(&standing.object, &object) => standing.object,
                _ => Arc::new(object),
            };
            self.objects.insert(id, Standing { object, line });
        }
        for (id, standing) in before {
            if reading.unclear || reading.broken.contains(&id) {
                self.objects.insert(id, standing);
            }
        }
    }
}

fn same(one: &Object, other: &Object) -> bool {
    match (one, other) {
        (Object::Ingress(one), Object::Ingress(other)) => one == other,
        (Object::Service(one), Object::Service(other)) => one == other,
        (Object::Endpoints(one), Object::Endpoints(other)) => one == other,
        (Object::EndpointSlice(one), Object::EndpointSlice(other)) => one == other,
        (Object::Secret(one), Object::Secret(other)) => one == other,
        _ => false,
    }
}

/// Why a file was not read.
enum Trouble {
    /// It went away between the listing and now.
    Gone,
    Fault(FaultReason, String),
}

/// Reads a file, never more than [`MAX_FILE_BYTES`].
fn bytes_of(path: &Path, length: u64) -> Result<Vec<u8>, Trouble> {
    if length > MAX_FILE_BYTES {
        return Err(too_large());
    }
    match File::open(path) {
        Ok(file) => bounded(file),
        Err(error) => Err(unreadable(&error)),
    }
}

fn bounded(stream: impl Read) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    stream
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large());
    }
    Ok(bytes)
}

fn too_large() -> Trouble {
    let message = format!("larger than the {MAX_FILE_BYTES} bytes that are read; split the file");
    Trouble::Fault(FaultReason::TooLarge, message)
}

fn unreadable(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::NotFound => Trouble::Gone,
        _ => Trouble::Fault(FaultReason::Unreadable, format!("cannot be read: {error}")),
    }
}

/// A fault of a whole file.
fn file_fault(file: &Path, trouble: Trouble) -> Fault {
    let (reason, message) = match trouble {
        Trouble::Gone => (FaultReason::Unreadable, "no such file".into()),
        Trouble::Fault(reason, message) => (reason, message),
    };
    Fault {
        file: file.to_owned(),
        line: None,
        column: None,
        severity: Severity::Error,
        reason,
        object: None,
        field: None,
        message,
    }
}

/// Reads one file for `sluice translate`: unknown fields are errors, and faults
/// name the file as it was given.
pub(crate) fn read_strictly(name: &Path, bytes: &[u8]) -> Reading {
    read(name, bytes, Strictness::Refuse)
}

/// Reads a file, whatever its name, or every manifest below a folder.
pub(crate) fn open(path: &Path, sources: &mut Vec<Source>, faults: &mut Vec<Fault>) {
    let mut take = |name: &Path, length: u64| match bytes_of(name, length) {
        Ok(bytes) => sources.push(Source {
            name: name.to_owned(),
            bytes,
        }),
        Err(trouble) => faults.push(file_fault(name, trouble)),
    };
    if !path.is_dir() {
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        return take(path, length);
    }
    let listing = Listing::of(path);
    for (name, found) in &listing.files {
        take(&path.join(name), found.stamp.length);
    }
    faults.extend(listing.faults.into_iter().map(|fault| Fault {
        file: path.join(&fault.file),
        ..fault
    }));
}

/// Reads a stream within the bound of a file.
pub(crate) fn read_stream(name: &Path, stream: impl Read) -> Result<Source, Vec<Fault>> {
    match bounded(stream) {
        Ok(bytes) => Ok(Source {
            name: name.to_owned(),
            bytes,
        }),
        Err(trouble) => Err(vec![file_fault(name, trouble)]),
    }
}
