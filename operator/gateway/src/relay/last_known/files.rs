//! One file for each type, written whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use prost::Message;
use sluice_envoy::{Kind, name};
use sluice_xds::wire::DeltaDiscoveryResponse;

use super::LastKnown;
use crate::error::GatewayError;
use crate::run_dir::ensure_private;

const ENDING: &str = "known";
/// What a file starts with; behind it the checksum, then the content.
const MAGIC: &[u8; 8] = b"sluice1\n";

/// The folder of the files; of mode 0700, they of 0600, since keys are among them.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Makes the folder where it is missing.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, GatewayError> {
        ensure_private(&folder)?;
        Ok(Self { folder })
    }

    /// All that the files hold. One that cannot be read is named in the log and
    /// counts as absent, and then so does the readiness table, in the files too: a
    /// gateway that lacks a part must not call itself ready.
    pub(crate) fn read(&self) -> Result<LastKnown, GatewayError> {
        let mut known = LastKnown::default();
        let mut damaged = false;
        let entries = fs::read_dir(&self.folder).map_err(GatewayError::file(
            "listing the last known configuration in",
            &self.folder,
        ))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            match read(&path) {
                Ok(response) => known.apply(response),
                Err(reason) => {
                    damaged = true;
                    tracing::warn!(
                        file = %path.display(),
                        reason,
                        "found a damaged file of the last known configuration, expected one that this program wrote; it counts as absent"
                    );
                }
            }
        }
        known.changed.clear();
        if damaged {
            let readiness = [name::READINESS_TABLE.to_owned()];
            known.forget(Kind::RouteTable.type_url(), readiness.iter());
        }
        Ok(known)
    }

    /// Writes one type.
    pub(crate) fn write(&self, response: &DeltaDiscoveryResponse) -> Result<(), GatewayError> {
        let path = self.folder.join(file_name(&response.type_url));
        let body = response.encode_to_vec();
        let content = [MAGIC, &checksum(&body).to_le_bytes()[..], &body].concat();
        self.replace(&path, &content).map_err(GatewayError::file(
            "writing the last known configuration to",
            &path,
        ))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        // Made with mode 0600, in the same folder, so that it can be renamed.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<DeltaDiscoveryResponse, String> {
    let content = fs::read(path).map_err(|error| error.to_string())?;
    let body = content
        .strip_prefix(MAGIC)
        .and_then(<[u8]>::split_first_chunk)
        .filter(|(sum, body)| u64::from_le_bytes(**sum) == checksum(body))
        .map(|(_, body)| body)
        .ok_or("it does not have the checksum of what it holds")?;
    let response = DeltaDiscoveryResponse::decode(body).map_err(|error| error.to_string())?;
    let expected = path.file_name().and_then(|name| name.to_str());
    if expected != Some(&*file_name(&response.type_url)) {
        return Err("it is not of the type that its name says".to_owned());
    }
    Ok(response)
}

/// FNV-1a: for damage, not for malice; who can write here has the keys anyway.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The last part of a type's name, as `envoy.config.cluster.v3.Cluster`.
fn file_name(type_url: &str) -> String {
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    format!("{name}.{ENDING}")
}

#[cfg(test)]
mod tests {
    use super::super::resource;
    use super::*;

    const TABLE: &str = "type.example/envoy.Table";

    fn folder() -> (tempfile::TempDir, Files) {
        let base = tempfile::tempdir().unwrap();
        let files = Files::open(base.path().join("last-known")).unwrap();
        (base, files)
    }

    fn response() -> DeltaDiscoveryResponse {
        DeltaDiscoveryResponse {
            type_url: TABLE.to_owned(),
            resources: vec![resource("a", "1", TABLE)],
            ..DeltaDiscoveryResponse::default()
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_is_its_owners_alone() {
        let (base, files) = folder();
        files.write(&response()).unwrap();
        files.write(&response()).unwrap();
        let mut known = files.read().unwrap();
        assert_eq!(
            known.of(TABLE).collect::<Vec<_>>(),
            [&resource("a", "1", TABLE)]
        );
        assert!(
            known.take_changed().is_empty(),
            "what is in files need not be written"
        );
        let folder = base.path().join("last-known");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("envoy.Table.known")), 0o600);
        assert_eq!(
            fs::read_dir(folder).unwrap().count(),
            1,
            "nothing half-written stays"
        );
    }

    #[test]
    fn a_damaged_file_counts_as_absent_and_the_others_are_read() {
        let (base, files) = folder();
        files.write(&response()).unwrap();
        let folder = base.path().join("last-known");
        fs::write(folder.join("envoy.Other.known"), [0xff; 40]).unwrap();
        fs::copy(
            folder.join("envoy.Table.known"),
            folder.join("envoy.Wrong.known"),
        )
        .unwrap();
        fs::write(folder.join("notes.txt"), "of somebody else").unwrap();
        let known = files.read().unwrap();
        assert_eq!(known.of(TABLE).count(), 1);
    }

    #[test]
    fn half_a_file_counts_as_absent() {
        let (base, files) = folder();
        files.write(&response()).unwrap();
        let path = base.path().join("last-known/envoy.Table.known");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(files.read().unwrap().is_empty());
    }
}
