//! The private directory of one Envoy: its bootstrap and its sockets.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::GatewayError;

/// Longest path of a Unix socket, in bytes: `sun_path` holds 108 on Linux and
/// 104 elsewhere, the closing zero included.
pub const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A new directory of mode 0700, removed with all it holds when dropped.
#[derive(Debug)]
pub struct RunDir {
    dir: TempDir,
}

impl RunDir {
    /// Makes one under `$XDG_RUNTIME_DIR`, or under the folder for temporary
    /// files where that is not set: both are short enough for sockets.
    ///
    /// # Errors
    /// [`GatewayError::File`] when neither can be written to.
    pub fn create() -> Result<Self, GatewayError> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute() && path.is_dir());
        Self::create_in(&runtime.unwrap_or_else(std::env::temp_dir))
    }

    /// Makes one under `base`.
    ///
    /// # Errors
    /// [`GatewayError::File`] when `base` cannot be written to.
    pub fn create_in(base: &Path) -> Result<Self, GatewayError> {
        let dir = tempfile::Builder::new()
            .prefix("sluice-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)
            .map_err(GatewayError::file("making a run directory in", base))?;
        Ok(Self { dir })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of a socket in it.
    ///
    /// # Errors
    /// [`GatewayError::SocketPathTooLong`].
    pub fn socket(&self, name: &str) -> Result<PathBuf, GatewayError> {
        let path = self.dir.path().join(name);
        check_socket(&path)?;
        Ok(path)
    }
}

/// Fails if the kernel would not take `path` for a socket.
pub(crate) fn check_socket(path: &Path) -> Result<(), GatewayError> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        return Err(GatewayError::SocketPathTooLong {
            path: path.to_owned(),
            length,
            limit: MAX_SOCKET_PATH,
        });
    }
    Ok(())
}

/// Makes `path` with mode 0700, or checks that it is like that already: in a
/// shared folder somebody else may have put it there first.
pub(crate) fn ensure_private(path: &Path) -> Result<(), GatewayError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(GatewayError::file("making run directory", path)(source)),
    }
    let metadata =
        fs::symlink_metadata(path).map_err(GatewayError::file("reading run directory", path))?;
    let found = if !metadata.is_dir() {
        "no directory".to_owned()
    } else if metadata.uid() != rustix::process::geteuid().as_raw() {
        format!("owned by user {}", metadata.uid())
    } else if metadata.mode() & 0o077 != 0 {
        format!("mode {:04o}", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(GatewayError::RunDirNotPrivate {
        path: path.to_owned(),
        found,
    })
}

/// Writes a file that only this user reads. An older one is replaced, not
/// written into: it may be open to others.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), GatewayError> {
    remove_if_there(path)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(GatewayError::file("writing", path))
}

/// Opens a file that only this user reads, to add to what is there.
pub(crate) fn append_private(path: &Path) -> Result<fs::File, GatewayError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(GatewayError::file("opening", path))
}

/// Removes what an earlier Envoy may have left.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), GatewayError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(GatewayError::file("removing", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_run_directory_is_private_short_and_gone_with_its_owner() {
        let run = RunDir::create().unwrap();
        let path = run.path().to_owned();
        assert_eq!(mode(&path), 0o700);
        assert!(run.socket("admin.sock").unwrap().as_os_str().len() <= MAX_SOCKET_PATH);
        write_private(&path.join("bootstrap.json"), b"{}").unwrap();
        assert_eq!(mode(&path.join("bootstrap.json")), 0o600);
        drop(run);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_path_may_have_as_many_bytes_as_the_kernel_takes() {
        let run = RunDir::create_in(&std::env::temp_dir()).unwrap();
        let room = MAX_SOCKET_PATH - run.path().as_os_str().len() - 1;
        let longest = run.socket(&"x".repeat(room)).unwrap();
        std::os::unix::net::UnixListener::bind(longest).unwrap();
        let error = run.socket(&"x".repeat(room + 1)).unwrap_err().to_string();
        assert!(
            error.contains("108 bytes long, at most 107") || MAX_SOCKET_PATH != 107,
            "{error}"
        );
        assert!(error.contains("shorter run directory"), "{error}");
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let run = base.path().join("run");
        ensure_private(&run).unwrap();
        assert_eq!(mode(&run), 0o700);
        ensure_private(&run).unwrap();

        fs::set_permissions(&run, Permissions::from_mode(0o750)).unwrap();
        let error = ensure_private(&run).unwrap_err().to_string();
        assert!(error.contains("mode 0750"), "{error}");

        let link = base.path().join("link");
        symlink(base.path(), &link).unwrap();
        let error = ensure_private(&link).unwrap_err().to_string();
        assert!(error.contains("no directory"), "{error}");
    }

    #[test]
    fn a_file_that_others_could_read_is_replaced() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("bootstrap.json");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        write_private(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(mode(&file), 0o600);
    }
}
